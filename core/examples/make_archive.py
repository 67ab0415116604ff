"""Writes base64 of a zip of 401 files, 80 MB in all and 45 MB compressed, for the example `install`."""

import base64
import io
import random
import sys
import zipfile

random.seed(1)
letters = b"abcdefghijklmnopqrstuvwxyz"
words = [bytes(random.choices(letters, k=random.randint(2, 9))) for _ in range(20_000)]
buffer = io.BytesIO()
with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
    for n in range(400):
        text = b" ".join(random.choices(words, k=33_000))[:200_000]
        archive.writestr(f"lib/m{n // 50}/f{n}.py", text)
    archive.writestr("exec", "#!/bin/sh\necho '{}'\n")
with open(sys.argv[1], "wb") as out:
    out.write(base64.b64encode(buffer.getvalue()))

#!/usr/bin/python3
"""Answers each question, a line on stdin, with its value, a line on descriptor 3."""
import json
import os
import sys

out = os.fdopen(3, "w")
if os.environ.get("__OW_WAIT_FOR_ACK"):
    print('{"ok":true}', file=out, flush=True)
for line in sys.stdin:
    value = json.loads(line)["value"]
    print(json.dumps({"bytes": len(value["a"])}), file=out, flush=True)

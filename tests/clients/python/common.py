"""What the Python clients share: the cases, their counts, and how they are told."""

import json
import sys

BASE = sys.argv[1]
HEADERS = {f"X-Added-{n}": "y" * 40 for n in range(30)}
SIZES = [("20 KiB", 20 << 10, 20), ("1.5 MB", 1_500_000, 5)]


def argument(size):
    """A body of /run whose result, the argument, has about that many bytes."""
    return json.dumps({"value": {"a": "x" * size}}).encode()


def pieces(body):
    """The same in pieces, of which a client cannot know the length."""
    for start in range(0, len(body), 8000):
        yield body[start : start + 8000]


async def async_pieces(body):
    for piece in pieces(body):
        yield piece


def check(status, text, size):
    assert status == 200, f"status {status}: {text[:200]}"
    result = json.loads(text)
    assert result == {"a": "x" * size}, f"another result, {len(text)} bytes"


def told(name, count):
    print(f"{name}\tok\t{count}", flush=True)


def failed(name, error):
    why = f"{type(error).__name__}: {error}".replace("\n", " ").replace("\t", " ")
    print(f"{name}\tFAILED\t{why[:300]}", flush=True)


def case(name, count, work):
    """Does `work` so many times."""
    try:
        for _ in range(count):
            work()
        told(name, count)
    except Exception as error:
        failed(name, error)


async def async_case(name, count, work):
    try:
        for _ in range(count):
            await work()
        told(name, count)
    except Exception as error:
        failed(name, error)

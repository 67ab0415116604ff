"""httpx: a client that keeps connections, and one connection a request."""

import httpx
from common import BASE, HEADERS, SIZES, argument, case, check, failed, pieces, told


def run(post, size, data, **more):
    answer = post(f"{BASE}/run", content=data, timeout=60, **more)
    check(answer.status_code, answer.text, size)


opened = []


def trace(event, _info):
    if event == "connection.connect_tcp.complete":
        opened.append(event)


client = httpx.Client()
case("small, fresh", 100, lambda: run(httpx.post, 1, argument(1)))
case(
    "small, kept",
    200,
    lambda: run(client.post, 1, argument(1), extensions={"trace": trace}),
)
try:
    assert len(opened) == 1, f"{len(opened)} connections"
    told("one connection", 200)
except Exception as error:
    failed("one connection", error)
case("30 headers", 100, lambda: run(client.post, 1, argument(1), headers=HEADERS))
for name, size, count in SIZES:
    body = argument(size)
    case(f"{name}, length", count, lambda: run(client.post, size, body))
    case(f"{name}, chunked", count, lambda: run(client.post, size, pieces(body)))
    case(
        f"{name}, chunked, 30 headers, fresh",
        count,
        lambda: run(httpx.post, size, pieces(body), headers=HEADERS),
    )


def refused():
    answer = client.post(f"{BASE}/nothing", content=argument(1_500_000), timeout=60)
    assert answer.status_code == 404 and answer.json()["error"], answer.text
    run(client.post, 1, argument(1))


case("refused, then served", 20, refused)

"""requests: a session that keeps connections, and one connection a request."""

import requests
from common import BASE, HEADERS, SIZES, argument, case, check, failed, pieces, told


def run(post, size, data, **more):
    answer = post(f"{BASE}/run", data=data, timeout=60, **more)
    check(answer.status_code, answer.text, size)


case("small, fresh", 100, lambda: run(requests.post, 1, argument(1)))
session = requests.Session()
case("small, kept", 200, lambda: run(session.post, 1, argument(1)))
try:
    pools = session.get_adapter(BASE).poolmanager.pools
    opened = sum(pools[key].num_connections for key in pools.keys())
    assert opened == 1, f"{opened} connections"
    told("one connection", 200)
except Exception as error:
    failed("one connection", error)
case("30 headers", 100, lambda: run(session.post, 1, argument(1), headers=HEADERS))
for name, size, count in SIZES:
    body = argument(size)
    case(f"{name}, length", count, lambda: run(session.post, size, body))
    case(f"{name}, chunked", count, lambda: run(session.post, size, pieces(body)))
    case(
        f"{name}, chunked, 30 headers, fresh",
        count,
        lambda: run(requests.post, size, pieces(body), headers=HEADERS),
    )


def refused():
    answer = session.post(f"{BASE}/nothing", data=argument(1_500_000), timeout=60)
    assert answer.status_code == 404 and answer.json()["error"], answer.text
    run(session.post, 1, argument(1))


case("refused, then served", 20, refused)

"""aiohttp: a session that keeps connections, one that does not, and `100-continue`."""

import asyncio

import aiohttp
from common import BASE, HEADERS, SIZES, argument, async_case, async_pieces, check, failed, told


async def main():
    opened = []
    trace = aiohttp.TraceConfig()

    async def created(_session, _context, _params):
        opened.append(1)

    trace.on_connection_create_end.append(created)
    fresh = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
    kept = aiohttp.ClientSession(trace_configs=[trace])

    async def run(session, size, data, **more):
        async with session.post(f"{BASE}/run", data=data, **more) as answer:
            check(answer.status, await answer.text(), size)

    await async_case("small, fresh", 100, lambda: run(fresh, 1, argument(1)))
    await async_case("small, kept", 200, lambda: run(kept, 1, argument(1)))
    try:
        assert len(opened) == 1, f"{len(opened)} connections"
        told("one connection", 200)
    except Exception as error:
        failed("one connection", error)
    await async_case("30 headers", 100, lambda: run(kept, 1, argument(1), headers=HEADERS))
    for name, size, count in SIZES:
        body = argument(size)
        await async_case(f"{name}, length", count, lambda: run(kept, size, body))
        await async_case(f"{name}, chunked", count, lambda: run(kept, size, async_pieces(body)))
        await async_case(
            f"{name}, chunked, 30 headers, fresh",
            count,
            lambda: run(fresh, size, async_pieces(body), headers=HEADERS),
        )
        await async_case(
            f"{name}, expect", count, lambda: run(kept, size, body, expect100=True)
        )

    async def refused():
        async with kept.post(f"{BASE}/nothing", data=argument(1_500_000)) as answer:
            assert answer.status == 404 and (await answer.json())["error"]
        await run(kept, 1, argument(1))

    await async_case("refused, then served", 20, refused)

    async def together():
        await asyncio.gather(*(run(kept, 1000, argument(1000)) for _ in range(50)))

    await async_case("50 at once", 4, together)
    await fresh.close()
    await kept.close()


asyncio.run(main())

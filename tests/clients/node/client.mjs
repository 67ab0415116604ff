// undici: its pool, with and without pipelining, and Node's own fetch, which is another undici.
import { Pool, request } from 'undici';
import { Readable } from 'node:stream';

const base = process.argv[2];
const headers = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`x-added-${n}`, 'y'.repeat(40)]));
const argument = (size) => JSON.stringify({ value: { a: 'x'.repeat(size) } });

function* pieces(body) {
  for (let start = 0; start < body.length; start += 8000) {
    yield Buffer.from(body.slice(start, start + 8000));
  }
}

function check(status, text, size) {
  if (status !== 200) throw new Error(`status ${status}: ${text.slice(0, 200)}`);
  if (text.trim() !== JSON.stringify({ a: 'x'.repeat(size) })) throw new Error(`another result, ${text.length} bytes`);
}

async function once(name, work) {
  try {
    console.log(`${name}\tok\t${await work()}`);
  } catch (error) {
    const why = `${error}${error.cause ? ` (${error.cause})` : ''}`.replace(/[\n\t]/g, ' ');
    console.log(`${name}\tFAILED\t${why.slice(0, 300)}`);
  }
}

const times = (name, count, work) =>
  once(name, async () => {
    for (let n = 0; n < count; n++) await work();
    return count;
  });

const send = (dispatcher, path, body, more = {}) =>
  request(`${base}${path}`, { method: 'POST', dispatcher, body, ...more, headers: { 'content-type': 'application/json', ...more.headers } });

async function run(dispatcher, size, body, more) {
  const answer = await send(dispatcher, '/run', body, more);
  check(answer.statusCode, await answer.body.text(), size);
}

async function fetched(size, body, more = {}) {
  const answer = await fetch(`${base}/run`, { method: 'POST', body, ...more });
  check(answer.status, await answer.text(), size);
}

let connections = 0;
const pool = new Pool(base, { connections: 1 });
pool.on('connect', () => connections++);
await times('small, fresh', 100, async () => {
  const fresh = new Pool(base, { connections: 1 });
  await run(fresh, 1, argument(1));
  await fresh.close();
});
await times('small, kept', 200, () => run(pool, 1, argument(1)));
await once('one connection', async () => {
  if (connections !== 1) throw new Error(`${connections} connections`);
  return 200;
});
await times('30 headers', 100, () => run(pool, 1, argument(1), { headers }));
const sizes = [['20 KiB', 20 << 10, 20], ['1.5 MB', 1500000, 5]];
for (const [name, size, count] of sizes) {
  const body = argument(size);
  await times(`${name}, length`, count, () => run(pool, size, body));
  await times(`${name}, chunked`, count, () => run(pool, size, Readable.from(pieces(body))));
  await times(`${name}, chunked, 30 headers`, count, () => run(pool, size, Readable.from(pieces(body)), { headers }));
  await times(`${name}, fetch`, count, () => fetched(size, body));
  await times(`${name}, fetch, chunked, 30 headers`, count, () =>
    fetched(size, Readable.toWeb(Readable.from(pieces(body))), { duplex: 'half', headers }));
}
await times('refused, then served', 20, async () => {
  const answer = await send(pool, '/nothing', argument(1500000));
  const { error } = await answer.body.json();
  if (answer.statusCode !== 404 || !error) throw new Error(`status ${answer.statusCode}`);
  await run(pool, 1, argument(1));
});
await once('pipelined, 10 at a time', async () => {
  let opened = 0;
  const pipelining = new Pool(base, { connections: 1, pipelining: 10 });
  pipelining.on('connect', () => opened++);
  for (let round = 0; round < 10; round++) {
    // Safe methods are what undici pipelines unasked; `idempotent` asks for the others.
    const all = Array.from({ length: 30 }, (_, n) =>
      n % 3 === 0
        ? request(`${base}/healthz`, { dispatcher: pipelining }).then((answer) => answer.body.json())
        : run(pipelining, n, argument(n), { idempotent: true, blocking: false }));
    await Promise.all(all);
  }
  if (opened !== 1) throw new Error(`${opened} connections`);
  await pipelining.close();
  return 300;
});
await pool.close();

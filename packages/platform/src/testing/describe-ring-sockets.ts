import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import {
  ECANCELED,
  ECONNREFUSED,
  MarsError,
  RING_ACCEPT,
  RING_CANCEL,
  RING_CANCEL_ALL,
  RING_CANCEL_FD,
  RING_CLOSE,
  RING_CONNECT,
  RING_MSG_WAITALL,
  RING_RECV,
  RING_SENDMSG,
  RING_SHUT_RDWR,
  RING_SHUT_WR,
  RING_SHUTDOWN,
  type NetAddress,
  type RingSockets,
} from '@mars/brick-core';
import type { RingBench } from './ring-bench.js';

interface Pair {
  listener: number;
  client: number;
  server: number;
}

const ADDRESS_AT = 60_000;

/** The socket half of `describeRing`. */
export function describeRingSockets(get: () => RingBench): void {
  beforeEach(function () {
    if (get().under.sockets === null) this.skip();
  });
  const sockets = (): RingSockets => get().under.sockets!;

  async function connectTo(address: NetAddress): Promise<{ fd: number; result: number }> {
    const b = get();
    const fd = sockets().create(address);
    const bytes = sockets().encode(address);
    b.bytes.set(bytes, ADDRESS_AT);
    return { fd, result: await b.run(RING_CONNECT, { fd, buf: ADDRESS_AT, len: bytes.length }) };
  }

  async function pair(address: NetAddress = { path: get().under.newSocketPath() }): Promise<Pair> {
    const b = get();
    const listener = await sockets().listen(address);
    const accept = b.op(RING_ACCEPT, { fd: listener });
    b.tick();
    const { fd: client, result } = await connectTo('path' in address ? address : sockets().localAddress(listener));
    assert.equal(result, 0);
    const [server] = await b.wait(accept);
    assert.ok(server! >= 0, `accept answered ${server}`);
    return { listener, client, server: server! };
  }

  async function closeAll(...fds: number[]): Promise<void> {
    const b = get();
    for (const fd of fds) assert.equal(await b.run(RING_CLOSE, { fd }), 0);
  }

  async function send(fd: number, text: string): Promise<void> {
    const b = get();
    b.bytes.write(text, 10_000);
    b.spans(0, [10_000, text.length]);
    assert.equal(await b.run(RING_SENDMSG, { fd, len: 1, flags: RING_MSG_WAITALL }), text.length);
  }

  it('lets the owner of a unix socket connect, or whom its mode says', async () => {
    for (const [options, mode] of [
      [{}, 0o600],
      [{ mode: 0o660 }, 0o660],
    ] as const) {
      const path = get().under.newSocketPath();
      const listener = await sockets().listen({ path }, options);
      assert.equal(statSync(path).mode & 0o777, mode);
      await closeAll(listener);
    }
  });

  for (const [name, address] of [
    ['unix', undefined],
    ['TCP', { host: '127.0.0.1', port: 0 }],
  ] as const) {
    it(`accepts, connects and carries bytes both ways (${name})`, async () => {
      const b = get();
      const { listener, client, server } = await pair(address);
      sockets().tune(server, { sendBytes: 65_536, receiveBytes: 65_536 });
      assert.ok(sockets().remoteName(server).length > 0);
      await send(client, 'request');
      assert.equal(await b.run(RING_RECV, { fd: server, buf: 0, len: 100 }), 7);
      assert.equal(b.bytes.toString('latin1', 0, 7), 'request');
      await send(server, 'reply');
      assert.equal(await b.run(RING_RECV, { fd: client, buf: 0, len: 100 }), 5);
      assert.equal(b.bytes.toString('latin1', 0, 5), 'reply');
      await closeAll(client, server, listener);
    });
  }

  it('receives before anything was sent, and exactly as much as asked for with WAITALL', async () => {
    const b = get();
    const { listener, client, server } = await pair();
    const all = b.op(RING_RECV, { fd: server, buf: 0, len: 8, flags: RING_MSG_WAITALL });
    b.tick();
    await send(client, 'abc');
    await b.under.turn();
    b.tick();
    assert.ok(!b.hasResult(all));
    await send(client, 'defghij');
    assert.deepEqual(await b.wait(all), [8]);
    assert.equal(b.bytes.toString('latin1', 0, 8), 'abcdefgh');
    assert.equal(await b.run(RING_RECV, { fd: server, buf: 0, len: 100 }), 2, 'what is left comes next');
    await closeAll(client, server, listener);
  });

  it('moves a message larger than every buffer, gathered from several spans', async () => {
    const b = get();
    const { listener, client, server } = await pair();
    const half = 200_000;
    for (let i = 0; i < 2 * half; i++) b.bytes[100_000 + i] = i % 251;
    b.spans(0, [100_000, half], [100_000 + half, half]);
    const sent = b.op(RING_SENDMSG, { fd: client, len: 2, flags: RING_MSG_WAITALL });
    const got = b.op(RING_RECV, { fd: server, buf: 600_000, len: 2 * half, flags: RING_MSG_WAITALL });
    assert.deepEqual(await b.wait(sent, got), [2 * half, 2 * half]);
    assert.ok(b.bytes.subarray(100_000, 100_000 + 2 * half).equals(b.bytes.subarray(600_000, 600_000 + 2 * half)));
    await closeAll(client, server, listener);
  });

  it('answers 0 when the peer has ended, after everything it had sent', async () => {
    const b = get();
    const { listener, client, server } = await pair();
    await send(client, 'last words');
    assert.equal(await b.run(RING_SHUTDOWN, { fd: client, flags: RING_SHUT_WR }), 0);
    assert.equal(await b.run(RING_RECV, { fd: server, buf: 0, len: 100 }), 10);
    assert.equal(await b.run(RING_RECV, { fd: server, buf: 0, len: 100 }), 0);
    await send(server, 'still heard');
    assert.equal(await b.run(RING_RECV, { fd: client, buf: 0, len: 100 }), 11);
    await closeAll(client, server, listener);
  });

  it('ends a waiting receive by shutdown, and a waiting accept and receive by cancel', async () => {
    const b = get();
    const { listener, client, server } = await pair();
    const first = b.op(RING_RECV, { fd: server, len: 10 });
    b.tick();
    assert.deepEqual(await b.wait(b.op(RING_SHUTDOWN, { fd: server, flags: RING_SHUT_RDWR }), first), [0, 0]);
    const receive = b.op(RING_RECV, { fd: client, buf: 0, len: 10 });
    await b.wait(receive); // the peer has shut down: 0
    const accept = b.op(RING_ACCEPT, { fd: listener });
    b.tick();
    assert.deepEqual(await b.wait(b.op(RING_CANCEL, { buf: accept }), accept), [0, -ECANCELED]);
    await closeAll(client, server, listener);
  });

  it('cancels everything on one descriptor and counts it', async () => {
    const b = get();
    const { listener, client, server } = await pair();
    const one = b.op(RING_RECV, { fd: server, buf: 0, len: 10 });
    const two = b.op(RING_RECV, { fd: server, buf: 10, len: 10 });
    b.tick();
    const cancel = b.op(RING_CANCEL, { fd: server, flags: RING_CANCEL_FD | RING_CANCEL_ALL });
    assert.deepEqual(await b.wait(cancel, one, two), [2, -ECANCELED, -ECANCELED]);
    await closeAll(client, server, listener);
  });

  it('is refused where nobody listens', async () => {
    const b = get();
    const { listener } = { listener: await sockets().listen({ host: '127.0.0.1', port: 0 }) };
    const address = sockets().localAddress(listener);
    await closeAll(listener);
    const { fd, result } = await connectTo(address);
    assert.equal(result, -ECONNREFUSED);
    await b.run(RING_CLOSE, { fd });
  });

  it('answers an errno, and raises no signal, when it sends to a peer that is gone', async () => {
    const b = get();
    const { listener, client, server } = await pair();
    await closeAll(server);
    let result = 0;
    for (let i = 0; i < 100 && result >= 0; i++) {
      b.spans(0, [0, 100]);
      result = await b.run(RING_SENDMSG, { fd: client, len: 1 });
      await b.under.turn();
    }
    assert.ok(result === -32 || result === -104, `EPIPE or ECONNRESET, not ${result}`);
    await closeAll(client, listener);
  });

  it('refuses a second listener with EADDRINUSE, and replaces a dead socket file', async () => {
    const path = get().under.newSocketPath();
    const first = await sockets().listen({ path });
    await assert.rejects(sockets().listen({ path }), (error: MarsError) => error.details['errno'] === 98);
    await closeAll(first);
    const second = await sockets().listen({ path });
    await closeAll(second);
  });
}

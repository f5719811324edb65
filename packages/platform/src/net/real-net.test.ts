import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import type { MarsError, NetAddress, NetStream } from '@mars/brick-core';
import { native } from '../native.js';
import { sandbox } from '../testing/index.js';
import { RealNet } from './real-net.js';

const errorOf = (promise: Promise<unknown>): Promise<MarsError> =>
  promise.then(
    () => assert.fail('nothing was thrown'),
    (error: MarsError) => error,
  );

describe('RealNet', () => {
  const dir = sandbox();
  const net = new RealNet();
  after(() => net.shutDown());

  async function pair(address: NetAddress): Promise<{ client: NetStream; server: NetStream; close(): Promise<void> }> {
    let accepted = (_: NetStream): void => {};
    const server = new Promise<NetStream>((resolve) => (accepted = resolve));
    const listener = await net.listen(address, accepted);
    const client = await net.connect(listener.address);
    return { client, server: await server, close: () => listener.close() };
  }

  const collect = (stream: NetStream): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const parts: Buffer[] = [];
      stream.onData((bytes) => parts.push(Buffer.from(bytes)));
      stream.onClose((error) => (error ? reject(error) : resolve(Buffer.concat(parts))));
    });

  for (const [name, address] of [
    ['TCP', () => ({ host: '127.0.0.1', port: 0 })],
    ['unix', () => ({ path: dir.file('s') })],
  ] as const) {
    it(`carries bytes both ways and ends cleanly (${name})`, async () => {
      const { client, server, close } = await pair(address());
      const bytes = Buffer.from('mine again at once');
      client.write(bytes);
      bytes.fill('x');
      server.onData(() => server.end());
      server.write(Buffer.from('reply'));
      const reply = collect(client);
      assert.equal((await reply).toString(), 'reply');
      await close();
    });
  }

  it('hands over what was written before, in order, even when it was written in one go with the end', async () => {
    const { client, server, close } = await pair({ path: dir.file('s') });
    const all = collect(server);
    for (let i = 0; i < 100; i++) client.write(Buffer.from(`${i},`));
    client.end();
    assert.equal((await all).toString(), Array.from({ length: 100 }, (_, i) => `${i},`).join(''));
    await close();
  });

  it('says no when the peer does not keep up, and tells when it does again', async () => {
    const { client, server, close } = await pair({ path: dir.file('s') });
    server.pause();
    const chunk = Buffer.alloc(64 * 1024);
    let sent = 0;
    while (client.write(chunk)) assert.ok(++sent < 10_000, 'write never says no');
    let got = 0;
    const drained = new Promise<void>((resolve) => client.onDrain(resolve));
    server.onData((bytes) => (got += bytes.length));
    server.resume();
    await drained;
    client.end();
    await new Promise<void>((resolve) => server.onClose(() => resolve()));
    assert.equal(got, (sent + 1) * chunk.length);
    await close();
  });

  it('shows a destroyed connection to the peer as an error, once', async () => {
    const { client, server, close } = await pair({ host: '127.0.0.1', port: 0 });
    let closes = 0;
    const error = await new Promise<Error | undefined>((resolve) => {
      server.onClose((e) => {
        closes++;
        resolve(e);
      });
      server.onData(() => {});
      client.destroy(new Error('enough'));
    });
    assert.equal((error as MarsError).code, 'SOCKET');
    assert.equal(server.write(Buffer.from('x')), false);
    await close();
    assert.equal(closes, 1);
  });

  it('names the port that is in use', async () => {
    const listener = await net.listen({ host: '127.0.0.1', port: 0 }, () => {});
    const { port } = listener.address as { port: number };
    const error = await errorOf(net.listen(listener.address, () => {}));
    assert.deepEqual([error.code, error.details['errno']], ['SOCKET', 98]);
    assert.ok(error.hint!.includes(`port ${port}`), error.hint);
    await listener.close();
  });

  it('replaces the socket file of a killed process, but not that of a living one', async () => {
    const path = dir.file('s');
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', script]);
    assert.ok(existsSync(path), 'the dead process left its socket');
    const listener = await net.listen({ path }, () => {});
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.match((await errorOf(net.listen({ path }, () => {}))).hint!, /Another process listens/);
    await listener.close();
  });

  it('gives up a connection that is refused, takes too long, or is not wanted any more', async () => {
    const refused = await errorOf(net.connect({ path: dir.file('nobody') }));
    assert.equal(refused.details['errno'], 2);
    const listener = await net.listen({ host: '127.0.0.1', port: 0 }, () => {});
    await listener.close();
    assert.equal((await errorOf(net.connect(listener.address))).details['errno'], 111);
    const signal = AbortSignal.abort(new Error('changed my mind'));
    assert.match((await errorOf(net.connect(listener.address, { signal }))).message, /changed my mind/);
  });

  it('gives up a connection that nobody answers, after the time allowed', async function () {
    if (!native) return this.skip();
    // A listener that never accepts: the kernel takes two connections for it, and then drops the packets of the next ones.
    const fd = native.listenTcp('127.0.0.1', 0, 0);
    const { port } = native.socketName(fd) as { port: number };
    const attempts = Array.from({ length: 6 }, () => net.connect({ host: '127.0.0.1', port }, { timeoutMs: 50 }));
    const results = await Promise.allSettled(attempts);
    native.closeFd(fd);
    const late = results.filter((r) => r.status === 'rejected').map((r) => r.reason as MarsError);
    assert.ok(late.length >= 1);
    for (const error of late) assert.deepEqual([error.code, error.details['errno']], ['SOCKET', 110]);
    for (const r of results) if (r.status === 'fulfilled') r.value.destroy();
  });
});

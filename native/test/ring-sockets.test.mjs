import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import native from '../index.cjs';
import { useKit, useTempDir, OP, FLAG, EFAULT } from './kit.mjs';

describe('the ring with sockets', () => {
  const dir = useTempDir();
  const holder = useKit({ arenaBytes: 16 << 20 });
  const open = [];
  const keep = (fd) => (assert.ok(fd >= 0, `descriptor, not ${fd}`), open.push(fd), fd);
  afterEach(() => open.splice(0).forEach((fd) => native.closeFd(fd)));

  /** Connects through the ring; both ends belong to it. */
  function connect(kit, listener, family, address) {
    const client = keep(native.streamSocket(family));
    kit.bytes.set(address, 64);
    const accept = kit.op(OP.ACCEPT, { fd: listener });
    const connected = kit.op(OP.CONNECT, { fd: client, buf: 64, len: address.length });
    const [server, result] = kit.wait(accept, connected);
    assert.equal(result, 0);
    return [client, keep(server)];
  }

  function exchange(kit, client, server) {
    kit.bytes.write('question', 4096);
    kit.bytes.write('answer and data', 8192);
    kit.iov(0, [4096, 8]);
    kit.iov(1, [8192, 6], [8198, 9]);
    const ask = kit.op(OP.SENDMSG, { fd: client, buf: 0, len: 1 });
    const hear = kit.op(OP.RECV, { fd: server, buf: 20_000, len: 100 });
    assert.deepEqual(kit.wait(ask, hear), [8, 8]);
    assert.equal(kit.bytes.toString('latin1', 20_000, 20_008), 'question');
    const answer = kit.op(OP.SENDMSG, { fd: server, buf: 1, len: 2, flags: FLAG.MSG_WAITALL });
    const read = kit.op(OP.RECV, { fd: client, buf: 30_000, len: 15, flags: FLAG.MSG_WAITALL });
    assert.deepEqual(kit.wait(answer, read), [15, 15]);
    assert.equal(kit.bytes.toString('latin1', 30_000, 30_015), 'answer and data');
    assert.equal(kit.do(OP.SHUTDOWN, { fd: client, flags: FLAG.SHUT_WR }), 0);
    assert.equal(kit.do(OP.RECV, { fd: server, buf: 0, len: 10 }), 0, 'the end of the stream');
  }

  it('listens, connects, accepts and talks over unix sockets', () => {
    const { kit } = holder;
    const where = path.join(dir.path, 'a.sock');
    const listener = keep(native.listenUnix(where, 16, 0o640));
    assert.equal(fs.statSync(where).mode & 0o777, 0o640);
    assert.equal(native.listenUnix(where), -98);
    assert.deepEqual(native.socketName(listener), { family: 'unix', address: where, port: 0 });
    const [client, server] = connect(kit, listener, 'unix', native.socketAddress(where));
    assert.deepEqual(native.peerName(client), { family: 'unix', address: where, port: 0 });
    exchange(kit, client, server);
    assert.equal(native.listenUnix('/' + 'x'.repeat(108)), -36);
    assert.equal(native.listenUnix(path.join(dir.path, 'no', 'where')), -2);
  });

  for (const [family, host] of [
    ['ipv4', '127.0.0.1'],
    ['ipv6', '::1'],
  ])
    it(`listens, connects, accepts and talks over ${family}`, function () {
      const { kit } = holder;
      const fd = native.listenTcp(host, 0);
      if (fd === -99 || fd === -97) return this.skip(); // no such address family here
      const listener = keep(fd);
      const { port, address } = native.socketName(listener);
      assert.equal(address, host);
      const [client, server] = connect(kit, listener, family, native.socketAddress(host, port));
      assert.equal(native.tcpOptions(client, 30), 0);
      assert.equal(native.peerName(server).port, native.socketName(client).port);
      assert.equal(native.peerName(client).port, port);
      exchange(kit, client, server);
      assert.equal(native.listenTcp(host, port), -98);
    });

  it('refuses host names and bad ports', () => {
    assert.equal(native.listenTcp('localhost', 0), -22);
    assert.equal(native.listenTcp('127.0.0.1', 65536), -22);
    assert.equal(native.socketAddress('nowhere', 1), -22);
    assert.equal(native.streamSocket('ipx'), -97);
    assert.equal(native.tcpOptions(0x7fffffff), -9);
  });

  it('reports a refused connection and a peer that went away, without a signal', () => {
    const { kit } = holder;
    const client = keep(native.streamSocket('unix'));
    const address = native.socketAddress(path.join(dir.path, 'nobody.sock'));
    kit.bytes.set(address, 0);
    assert.equal(kit.do(OP.CONNECT, { fd: client, buf: 0, len: address.length }), -2);
    assert.equal(kit.do(OP.CONNECT, { fd: client, buf: 0, len: 4096 }), -22);
    const [a, b] = native.socketpair();
    keep(a);
    native.closeFd(b);
    kit.iov(0, [0, 100]);
    assert.equal(kit.do(OP.SENDMSG, { fd: a, buf: 0, len: 1 }), -32);
  });

  it('moves megabytes through a full socket, whole and in order', () => {
    const { kit } = holder;
    const bytes = 4 << 20;
    const [a, b] = native.socketpair().map(keep);
    const sizes = native.socketBuffers(a, 1 << 17, 1 << 17);
    assert.ok(sizes.sendBytes >= 1 << 17, JSON.stringify(sizes));
    for (let i = 0; i < bytes; i += 4) kit.bytes.writeUInt32LE(i, i);
    kit.iov(0, [0, bytes >> 1], [bytes >> 1, bytes >> 1]);
    const send = kit.op(OP.SENDMSG, { fd: a, buf: 0, len: 2, flags: FLAG.MSG_WAITALL });
    const receive = kit.op(OP.RECV, { fd: b, buf: 8 << 20, len: bytes, flags: FLAG.MSG_WAITALL });
    assert.deepEqual(kit.wait(send, receive), [bytes, bytes]);
    assert.equal(kit.do(OP.COMPARE, { buf: 0, len: bytes, off: 8 << 20 }), 0);
  });

  it('serves a client of Node', (done) => {
    const where = path.join(dir.path, 'node.sock');
    const { kit } = holder;
    const listener = keep(native.listenUnix(where));
    const socket = net.connect(where, () => socket.end('from node'));
    socket.on('data', (data) => assert.equal(data.toString(), 'from the ring'));
    socket.on('close', () => {
      kit.ring.detach();
      done();
    });
    const accept = kit.op(OP.ACCEPT, { fd: listener });
    let server = -1;
    let read = -1;
    /** What a batch asks for is submitted at once, and that tick may bring completions of its own: so until nothing is left. */
    kit.ring.attach(() => {
      for (let more = true; more; more = kit.queued > 0 || kit.results.has(accept) || kit.results.has(read)) {
        kit.tick();
        if (kit.results.has(accept)) {
          server = keep(kit.take(accept));
          read = kit.op(OP.RECV, { fd: server, buf: 0, len: 100 });
        } else if (kit.results.has(read)) {
          assert.equal(kit.bytes.toString('latin1', 0, kit.take(read)), 'from node');
          kit.bytes.write('from the ring', 0);
          kit.iov(0, [0, 13]);
          kit.op(OP.SENDMSG, { fd: server, buf: 0, len: 1 });
          kit.op(OP.SHUTDOWN, { fd: server, flags: FLAG.SHUT_RDWR });
        }
      }
    });
    kit.tick();
    kit.ring.wake();
  });

  it('checks the ranges of socket operations, too', () => {
    const { kit } = holder;
    const [a, b] = native.socketpair().map(keep);
    kit.iov(0, [-4096, 8]);
    assert.equal(kit.do(OP.SENDMSG, { fd: a, buf: 0, len: 1 }), EFAULT);
    assert.equal(kit.do(OP.RECV, { fd: b, buf: (16 << 20) - 1, len: 2 }), EFAULT);
  });
});

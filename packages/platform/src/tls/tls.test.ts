import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, connect as connectPlain, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { MarsError, type TlsClientIdentity } from '@mars/brick-core';
import { sandbox } from '../testing/index.js';
import { join, peerName, shakeHands, shakeHandsAsClient } from './handshake.js';
import { readClientMaterial, readMaterial, type TlsMaterial } from './material.js';

describe('TLS outside the ring', function () {
  this.timeout(20_000);
  const dir = sandbox();
  let listener: Server | null = null;
  /** Every socket of a test; all are gone after it. */
  const sockets: Socket[] = [];

  function openssl(...args: string[]): void {
    const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  }

  /** A certificate that signs itself. */
  function identity(name: string, goodFor = `DNS:${name}`): { certPath: string; keyPath: string } {
    const [certPath, keyPath] = [dir.file(`${name}.crt`), dir.file(`${name}.key`)];
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyPath];
    openssl(
      'req',
      '-x509',
      ...key,
      '-subj',
      `/CN=${name}`,
      '-addext',
      `subjectAltName=${goodFor}`,
      '-days',
      '2',
      '-out',
      certPath,
    );
    return { certPath, keyPath };
  }

  before(function () {
    if (spawnSync('openssl', ['version']).status !== 0) this.skip();
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
    listener?.close();
    listener = null;
  });

  async function accept(material: TlsMaterial, signal: AbortSignal, client: (port: number) => void): Promise<unknown> {
    const arrived = new Promise<Socket>((resolve) => (listener = createServer(resolve).listen(0, '127.0.0.1')));
    await once(listener!, 'listening');
    client((listener!.address() as AddressInfo).port);
    return shakeHands(quietly(await arrived), material, signal).then((tls) => {
      const name = peerName(tls);
      tls.destroy();
      return name;
    });
  }

  const forever = new AbortController().signal;
  const quietly = (socket: Socket): Socket => {
    sockets.push(socket);
    return socket.on('error', () => {});
  };

  it('reads certificates and keys, and says which files do not fit', () => {
    const [one, other] = [identity('one'), identity('other')];
    assert.match(readMaterial({ ...one, verifyPeer: false }).cert, /BEGIN CERTIFICATE/);
    const mixed = { certPath: one.certPath, keyPath: other.keyPath, verifyPeer: false };
    assert.throws(
      () => readMaterial(mixed),
      (e: MarsError) => e.code === 'BAD_PARAMETER' && e.hint!.includes(other.keyPath),
    );
    const missing = { certPath: dir.file('none.crt'), keyPath: one.keyPath, verifyPeer: false };
    assert.throws(
      () => readMaterial(missing),
      (e: MarsError) => e.code === 'FILE_IO',
    );
    assert.throws(
      () => readMaterial({ ...one, verifyPeer: true }),
      (e: MarsError) => e.code === 'BAD_PARAMETER',
    );
  });

  it('names the client that has proved itself, and turns away every other one', async () => {
    const [server, friend, stranger] = [identity('server'), identity('friend'), identity('stranger')];
    const material = readMaterial({ ...server, caPath: friend.certPath, verifyPeer: true });
    const as = (who: { certPath: string; keyPath: string }) => (port: number) =>
      void quietly(
        connect({
          port,
          host: '127.0.0.1',
          cert: readFileSync(who.certPath),
          key: readFileSync(who.keyPath),
          rejectUnauthorized: false,
        }),
      );
    assert.equal(await accept(material, forever, as(friend)), 'friend');
    await assert.rejects(accept(material, forever, as(stranger)), /TLS handshake failed/);
    const anonymous = (port: number): void =>
      void quietly(connect({ port, host: '127.0.0.1', rejectUnauthorized: false }));
    await assert.rejects(accept(material, forever, anonymous), /TLS handshake failed/);
  });

  describe('as the client', () => {
    const server = (who: { certPath: string; keyPath: string }, clients?: string) =>
      readMaterial({
        ...who,
        verifyPeer: clients !== undefined,
        ...(clients === undefined ? {} : { caPath: clients }),
      });

    /** Both names, as each side sees the other; the client's failure when there is one. */
    async function meet(material: TlsMaterial, identity: TlsClientIdentity): Promise<(string | null)[]> {
      let client: Promise<string | null> = Promise.resolve(null);
      const accepted = accept(material, forever, (port) => {
        const socket = quietly(connectPlain(port, '127.0.0.1'));
        client = shakeHandsAsClient(socket, readClientMaterial(identity), forever).then((tls) => {
          const name = peerName(tls);
          quietly(tls);
          return name;
        });
        client.catch(() => {});
      }).catch(() => null);
      const seen = (await accepted) as string | null;
      return [await client, seen];
    }

    it('trusts the server whose authority and name it was told, by name and by address', async () => {
      const [named, numbered, friend] = [identity('box'), identity('addr', 'IP:192.0.2.7'), identity('friend')];
      assert.deepEqual(await meet(server(named), { caPath: named.certPath, serverName: 'box' }), ['box', null]);
      const byAddress = { caPath: numbered.certPath, serverName: '192.0.2.7', ...friend };
      assert.deepEqual(await meet(server(numbered, friend.certPath), byAddress), ['addr', 'friend']);
    });

    it('turns down another name, another authority, and a server that only the machine would have to know', async () => {
      const [box, other] = [identity('box'), identity('other')];
      for (const wrong of [
        { caPath: box.certPath, serverName: 'fox' },
        { caPath: box.certPath, serverName: '192.0.2.7' },
        { caPath: other.certPath, serverName: 'box' },
        { serverName: 'box' },
      ]) {
        await assert.rejects(meet(server(box), wrong), /TLS handshake failed/);
      }
    });

    it('gives up when it is told to, when the server goes, and on bytes that are no TLS', async () => {
      const material = readClientMaterial({ serverName: 'box' });
      const shake = async (serve: (socket: Socket) => void, signal = forever): Promise<unknown> => {
        listener = createServer((socket) => serve(quietly(socket))).listen(0, '127.0.0.1');
        await once(listener, 'listening');
        const socket = quietly(connectPlain((listener.address() as AddressInfo).port, '127.0.0.1'));
        return shakeHandsAsClient(socket, material, signal).finally(() => listener!.close());
      };
      await assert.rejects(
        shake((socket) => socket.resume().end()),
        /TLS handshake failed/,
      );
      await assert.rejects(
        shake((socket) => void socket.write('NBDMAGIC and so on')),
        /TLS handshake failed/,
      );
      const abort = new AbortController();
      await assert.rejects(
        shake(() => abort.abort(new Error('out of time')), abort.signal),
        /out of time/,
      );
    });

    it('needs certificate and key, or neither', () => {
      const { certPath } = identity('one');
      assert.throws(
        () => readClientMaterial({ certPath, serverName: 'box' }),
        (e: MarsError) => e.code === 'BAD_PARAMETER',
      );
    });
  });

  it('gives up when it is told to, and on bytes that are no TLS', async () => {
    const material = readMaterial({ ...identity('server'), verifyPeer: false });
    const abort = new AbortController();
    const silent = accept(material, abort.signal, (port) => void quietly(connectPlain(port, '127.0.0.1')));
    setImmediate(() => abort.abort(new Error('out of time')));
    await assert.rejects(silent, /out of time/);
    const rude = (port: number): void => void quietly(connectPlain(port, '127.0.0.1')).write('GET / HTTP/1.0\r\n\r\n');
    await assert.rejects(accept(material, forever, rude), /TLS handshake failed/);
  });

  it('passes bytes both ways, and the end of one side to the other', async () => {
    listener = createServer({ allowHalfOpen: false }).listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const { port } = listener.address() as AddressInfo;
    const pair = async (): Promise<[Socket, Socket]> => {
      const arrived = once(listener!, 'connection') as Promise<[Socket]>;
      const near = quietly(connectPlain(port, '127.0.0.1'));
      return [near, quietly((await arrived)[0])];
    };
    const [[a, aFar], [b, bFar]] = [await pair(), await pair()];
    join(aFar, bFar);
    a.write('ping');
    assert.equal(String((await once(b, 'data'))[0]), 'ping');
    b.write('pong');
    assert.equal(String((await once(a, 'data'))[0]), 'pong');
    const ended = once(b.resume(), 'close');
    a.destroy();
    await ended;
  });
});

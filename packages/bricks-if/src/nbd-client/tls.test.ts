import assert from 'node:assert/strict';
import { ErrorCode, MarsError, type TlsClientIdentity, type TlsEndpoint, type TlsPeer } from '@mars/brick-core';
import { disk, server, uri, withClient } from '../testing/client-kit.test.kit.js';
import {
  GREETING,
  greeting,
  handshake,
  optionReply,
  skipHandshake,
  type Peer,
  type ServerScript,
} from '../testing/scripted-server.test.kit.js';

const STARTTLS = 5;
const ACK = 1;

/** TLS without a cipher: what counts is when it happens, and on which socket it goes on. */
class PlainTls implements TlsEndpoint {
  readonly identities: TlsClientIdentity[] = [];
  connects = 0;
  failure: string | null = null;
  /** Never answers, until it is told to give up. */
  hangs = false;

  server(): never {
    throw new Error('nobody serves here');
  }

  client(identity: TlsClientIdentity) {
    this.identities.push(identity);
    return {
      connect: async (fd: number, { signal }: { signal: AbortSignal }): Promise<TlsPeer> => {
        this.connects++;
        if (this.hangs)
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
        if (this.failure !== null) throw new MarsError(ErrorCode.SOCKET, this.failure);
        return { fd, name: 'server' };
      },
    };
  }
}

/** What the client has said so far: magic, option and length of each option, behind its flags. */
function optionsOf(peer: Peer): number[] {
  const { input } = peer;
  const options = [];
  for (let at = input.head + 4; at + 16 <= input.tail; at += 16 + input.view.getUint32(at + 12))
    options.push(input.view.getUint32(at + 8));
  return options;
}

/** Agrees to TLS, and goes on as `then` behind it. */
function secured(then: ServerScript, seen: number[][] = []): ServerScript {
  const isSecure = new Set<Peer>();
  return (peer, number) => {
    if (isSecure.has(peer)) return then(peer, number);
    if (peer.input.tail === 0) return peer.output.push(greeting());
    seen.push(optionsOf(peer));
    skipHandshake(peer);
    isSecure.add(peer);
    peer.output.push(optionReply(STARTTLS, ACK));
    peer.output.push(new Uint8Array(0));
  };
}

/** The rest of the handshake, then a disk. */
function behindTls(): ServerScript {
  const talk = server(disk());
  const greeted = new Set<Peer>();
  return (peer, number) => {
    if (greeted.has(peer)) return talk(peer, number);
    greeted.add(peer);
    peer.output.push(handshake().subarray(GREETING));
  };
}

describe('NbdClientBrick with TLS', () => {
  it('says nothing in the clear but that it wants TLS, and does everything behind it', async () => {
    const tls = new PlainTls();
    const seen: number[][] = [];
    const use = async (kit: Parameters<Parameters<typeof withClient>[2]>[0]): Promise<void> => {
      const answer = await kit.answerOf({ op: 'write', posBytes: 0, data: 'secret' });
      assert.equal(answer.err, 0);
      assert.equal((await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 512 })).err, 0);
    };
    await withClient(secured(behindTls(), seen), { tls: 'require' }, use, { tls });
    assert.deepEqual(seen, [[STARTTLS]]);
    assert.equal(tls.connects, 1);
  });

  it('checks the name of the parameter, of the address, or localhost', async () => {
    const nameOf = async (params: Record<string, unknown>): Promise<string> => {
      const tls = new PlainTls();
      await withClient(secured(behindTls()), params, async () => {}, { tls });
      return tls.identities[0]!.serverName;
    };
    assert.equal(await nameOf({ tls: 'require' }), 'localhost');
    assert.equal(await nameOf({ uri: 'nbds://192.0.2.1/x' }), '192.0.2.1');
    assert.equal(await nameOf({ uri: 'nbds://192.0.2.1/x', tlsHostname: 'disks.example' }), 'disks.example');
  });

  it('goes nowhere when the server does not want it, says more than yes, or is not the one that was meant', async () => {
    const refused = async (script: ServerScript, reason: RegExp, tls = new PlainTls()): Promise<number> => {
      await assert.rejects(
        withClient(script, { tls: 'require' }, async () => {}, { tls }),
        reason,
      );
      return tls.connects;
    };
    const says =
      (...replies: Uint8Array[]): ServerScript =>
      (peer) =>
        peer.output.push(peer.input.tail === 0 ? greeting() : Buffer.concat(replies));
    const no = optionReply(STARTTLS, 2 ** 31 + 2, Buffer.from('no keys here'));
    assert.equal(await refused(says(no), /does no TLS: no keys here/), 0);
    const injected = says(optionReply(STARTTLS, ACK), handshake().subarray(GREETING));
    assert.equal(await refused(injected, /in the clear behind STARTTLS/), 0);
    const stranger = new PlainTls();
    stranger.failure = 'the TLS handshake failed: not that name';
    assert.equal(await refused(secured(behindTls()), /not that name/, stranger), 1);
  });

  it('gives up a TLS handshake that has no end', async () => {
    const tls = new PlainTls();
    tls.hangs = true;
    await assert.rejects(
      withClient(secured(behindTls()), { tls: 'require' }, async () => {}, { tls }),
      /does not end the handshake/,
    );
  });

  it('comes back with TLS after a loss', async () => {
    const tls = new PlainTls();
    await withClient(
      secured(behindTls()),
      { tls: 'require' },
      async (kit, host) => {
        host.ring().cut(host.ring().all[0]!);
        assert.equal((await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 512 })).err, 0);
      },
      { tls },
    );
    assert.equal(tls.connects, 2);
  });

  it('is refused where there is none', () =>
    assert.rejects(
      withClient(server(disk()), { uri: uri.replace('nbd+', 'nbds+') }, async () => {}),
      /no TLS on this loop/,
    ));
});

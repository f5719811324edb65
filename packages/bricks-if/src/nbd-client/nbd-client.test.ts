import assert from 'node:assert/strict';
import { ECONNRESET, EIO, ENOSPC, ENOTCONN, F_FUA, createRandom } from '@mars/brick-core';
import { BrickKit, describeBrickConformance, useBrickKit, type ProbeRequest } from '@mars/brick-core/testing';
import {
  CONTEXT_ID,
  bytesOf,
  chunk,
  greeting,
  handshake,
  optionReply,
  scriptedServer,
  simpleReply,
  swiftServer,
  type ExportText,
  type SeenRequest,
  type ServerScript,
} from '../testing/scripted-server.test.kit.js';
import { disk, server, uri, withClient, type Answer } from '../testing/client-kit.test.kit.js';
import { NbdClientBrick } from './nbd-client.js';
import { parseNbdUri } from './uri.js';

const OFFSET_DATA = 1;
const OFFSET_HOLE = 2;
const STATUS = 5;
const ERROR = 0x8001;

const read = (lenBytes = 4096, posBytes = 8192): ProbeRequest => ({ op: 'read', posBytes, lenBytes });

describe('NbdClientBrick', () => {
  describe('over a scripted server', () => {
    const kit = useBrickKit(NbdClientBrick, { uri }, scriptedServer(server(disk())));
    // The server of the test makes every reply anew.
    describeBrickConformance(kit, { requests: 100, allocationFree: false });
  });

  describe('over a server that allocates nothing itself', () => {
    const kit = useBrickKit(NbdClientBrick, { uri }, scriptedServer(swiftServer()));
    describeBrickConformance(kit, { requests: 100, data: 'none' });
  });

  describe('replies', () => {
    const errOf = async (answer: Answer, request: ProbeRequest = read(), what: ExportText = {}): Promise<number> => {
      let err = 1;
      // A server that is hostile once and right from then on: so the request must come again, and end well.
      const script = server(
        (r, peer, connection) => (connection === 0 ? answer(r, peer, connection) : disk()(r, peer, 1)),
        what,
      );
      await withClient(script, {}, async (kit) => {
        ({ err } = await kit.answerOf(request));
        lost = kit.brick.stats.counter('connections_lost').n;
      });
      return err;
    };
    let lost = 0;

    it('may come in pieces, in any order, with holes', async () => {
      const pieces: Answer = ({ cookie, offset }) =>
        Buffer.concat([
          chunk(cookie, OFFSET_DATA, bytesOf(['u64', offset + 3072], new Uint8Array(1024).fill(3)), false),
          chunk(cookie, OFFSET_HOLE, bytesOf(['u64', offset + 1024], ['u32', 2048]), false),
          chunk(cookie, OFFSET_DATA, bytesOf(['u64', offset], new Uint8Array(1024).fill(1)), false),
          chunk(cookie, 0, new Uint8Array(0)),
        ]);
      await withClient(server(pieces), {}, async (kit) => {
        const { err, data } = await kit.answerOf(read());
        assert.equal(err, 0);
        assert.deepEqual([...data.filter((_, i) => i % 1024 === 0)], [1, 0, 0, 3]);
      });
    });

    it('may overtake each other, and carry errors with words', async () => {
      const queue: SeenRequest[] = [];
      const backwards: Answer = (request) => {
        queue.push(request);
        if (queue.length < 3) return null;
        return Buffer.concat(
          queue
            .reverse()
            .map(({ cookie, type }) =>
              type === 1
                ? chunk(cookie, ERROR, bytesOf(['u32', ENOSPC], ['u16', 4], 'full'))
                : type === 0
                  ? disk()({ cookie, type, offset: 0, length: 512 } as SeenRequest, null as never, 0)!
                  : simpleReply(cookie),
            ),
        );
      };
      await withClient(server(backwards), {}, async (kit) => {
        const answers = await Promise.all(
          [read(512, 0), { op: 'write', posBytes: 0, data: 'x' } as const, { op: 'flush' } as const].map((r) =>
            kit.answerOf(r),
          ),
        );
        assert.deepEqual(
          answers.map((a) => a.err),
          [0, -ENOSPC, 0],
        );
      });
    });

    it('extents are clipped to what was asked, and end where there is no more room', async () => {
      const many: Answer = ({ cookie }) => {
        const descriptors = Array.from({ length: 2000 }, (_, i): ['u32', number][] => [
          ['u32', 512],
          ['u32', i % 2 ? 3 : 0],
        ]).flat();
        return chunk(cookie, STATUS, bytesOf(['u32', CONTEXT_ID], ...descriptors));
      };
      await withClient(server(many), {}, async (kit) => {
        for (const [lenBytes, records] of [
          [1000, 2],
          [2 ** 19, 170],
        ] as const) {
          const { err, data } = await kit.answerOf({ op: 'extents', posBytes: 0, lenBytes });
          assert.deepEqual([err, data.length], [0, records * 24]);
        }
      });
    });

    const hostile: Record<string, Answer> = {
      'a cookie that nobody uses': () => simpleReply(new Uint8Array(8).fill(0x7f)),
      'the cookie of an earlier request': ({ cookie }) => {
        const other = cookie.slice();
        other[7]! ^= 1;
        return simpleReply(other);
      },
      garbage: () => new Uint8Array(64).fill(0x41),
      'more data than was asked for': ({ cookie, offset }) =>
        chunk(cookie, OFFSET_DATA, bytesOf(['u64', offset], new Uint8Array(4097))),
      'data before the range': ({ cookie, offset }) =>
        chunk(cookie, OFFSET_DATA, bytesOf(['u64', offset - 1], new Uint8Array(4096))),
      'data far away': ({ cookie }) => chunk(cookie, OFFSET_DATA, bytesOf(['u64', 2 ** 52], new Uint8Array(4096))),
      'a part of the data': ({ cookie, offset }) =>
        chunk(cookie, OFFSET_DATA, bytesOf(['u64', offset], new Uint8Array(4095))),
      'the same data twice': ({ cookie, offset }) => {
        const half = bytesOf(['u64', offset], new Uint8Array(2048));
        return Buffer.concat([chunk(cookie, OFFSET_DATA, half, false), chunk(cookie, OFFSET_DATA, half)]);
      },
      'a hole beyond the range': ({ cookie, offset }) =>
        chunk(cookie, OFFSET_HOLE, bytesOf(['u64', offset], ['u32', 8192])),
      'a chunk of no data': ({ cookie, offset }) => chunk(cookie, OFFSET_DATA, bytesOf(['u64', offset])),
      'a chunk that is too short for its type': ({ cookie }) => chunk(cookie, OFFSET_DATA, bytesOf(['u32', 1])),
      'a chunk of unknown type': ({ cookie }) => chunk(cookie, 99, new Uint8Array(8)),
      'extents instead of data': ({ cookie }) =>
        chunk(cookie, STATUS, bytesOf(['u32', CONTEXT_ID], ['u32', 4096], ['u32', 0])),
      'an error that is none': ({ cookie }) => chunk(cookie, ERROR, bytesOf(['u32', 0], ['u16', 0])),
      'endless words with an error': ({ cookie }) =>
        chunk(cookie, ERROR, bytesOf(['u32', 5], ['u16', 0], new Uint8Array(9000))),
      'a simple reply to a structured read': ({ cookie, length }) => simpleReply(cookie, 0, new Uint8Array(length)),
    };
    for (const [title, answer] of Object.entries(hostile)) {
      it(`with ${title} end the connection, and the request is sent again`, async () => {
        assert.equal(await errOf(answer), 0);
        assert.ok(lost >= 1);
      });
    }

    it('with extents of another context, of no length or none at all end the connection', async () => {
      const extents: ProbeRequest = { op: 'extents', posBytes: 0, lenBytes: 4096 };
      for (const body of [
        bytesOf(['u32', 1], ['u32', 4096], ['u32', 0]),
        bytesOf(['u32', CONTEXT_ID], ['u32', 0], ['u32', 0]),
        bytesOf(['u32', CONTEXT_ID]),
        bytesOf(['u32', CONTEXT_ID], ['u32', 4096]),
      ]) {
        assert.equal(await errOf(({ cookie }) => chunk(cookie, STATUS, body), extents), 0);
        assert.ok(lost >= 1);
      }
    });

    it('of any bytes crash nothing and leak nothing (600 mutations)', async function () {
      this.timeout(60_000);
      const random = createRandom(11);
      const mutate: Answer = (request, peer, connection) => {
        const reply = disk()(request, peer, connection)!;
        const bytes = reply.slice();
        for (let i = random.int(4); i > 0; i--) bytes[random.int(Math.min(40, bytes.length))] = random.int(256);
        return random.int(20) === 0 ? bytes.subarray(0, random.int(bytes.length)) : bytes;
      };
      await withClient(server(mutate), { retryWrites: true }, async (kit) => {
        for (let round = 0; round < 60; round++) {
          let answered = 0;
          for (let i = 0; i < 10; i++)
            kit.probe.send(
              { ...read(512, i * 512), op: (['read', 'write', 'extents', 'flush', 'zero'] as const)[i % 5]! },
              () => answered++,
            );
          // A reply that was cut off leaves its request waiting for ever; the connection must still be there to be cut.
          await kit.runFor(20);
          const { ring } = kitRing(kit);
          for (let tries = 0; answered < 10 && tries < 2000; tries++) {
            for (const peer of ring.peers.values()) ring.cut(peer);
            await kit.runFor(20);
          }
          assert.equal(answered, 10);
        }
      });
    });
  });

  describe('the handshake', () => {
    const refuses = (bytes: Uint8Array, reason: RegExp): Promise<void> =>
      assert.rejects(
        withClient(
          (peer) => (peer.output.tail === 0 ? peer.output.push(bytes) : undefined),
          {},
          async () => {},
        ),
        reason,
      );

    it('fails with a reason that people understand', async () => {
      await refuses(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), /no NBD server/);
      await refuses(bytesOf('NBDMAGIC', ['u32', 0x00420281], ['u32', 0x861253], ['u64', 0]), /oldstyle/);
      await refuses(greeting(0), /fixed newstyle/);
      await refuses(Buffer.concat([greeting(), optionReply(8, 2 ** 31 + 5)]), /demands TLS/);
      await refuses(
        Buffer.concat([greeting(), optionReply(8, 1), optionReply(10, 1), optionReply(7, 2 ** 31 + 6)]),
        /no export of that name/,
      );
      await refuses(Buffer.concat([greeting(), optionReply(7, 1)]), /not asked/);
      await refuses(Buffer.concat([greeting(), optionReply(8, 1), optionReply(10, 1), optionReply(7, 1)]), /how large/);
      await refuses(handshake({ blocks: [3, 4096, 65536] }), /block sizes/);
      await refuses(handshake({ sizeBytes: 2 ** 60 }), /larger than any device/);
      await refuses(new Uint8Array(0), /does not end the handshake/);
    });

    it('does without structured replies and extents', () =>
      withClient(
        server(
          ({ cookie, type, length }) =>
            simpleReply(cookie, 0, type === 0 ? new Uint8Array(length).fill(5) : new Uint8Array(0)),
          { structured: false },
        ),
        {},
        async (kit) => {
          assert.ok(!kit.advertised.includes('extents'));
          const { err, data } = await kit.answerOf(read());
          assert.ok(err === 0 && data.every((byte) => byte === 5));
        },
      ));

    it('opens as many connections as the server allows, and no more', async () => {
      for (const [flags, wanted] of [
        [0b110111101101, 4],
        [0b110011101101, 1],
      ]) {
        await withClient(server(disk(), { flags: flags! }), { connections: 4 }, async (kit, host) => {
          await kit.runFor(50);
          assert.equal(host.ring().peers.size, wanted);
        });
      }
    });
  });

  describe('a server that goes', () => {
    /** Answers nothing on the first connection; on later ones it is a disk that remembers the order of what it sees. */
    function mute(seen: SeenRequest[][]): ServerScript {
      const answer = disk();
      return server((request, peer, connection) => {
        (seen[connection] ??= []).push(request);
        return connection === 0 ? null : answer(request, peer, connection);
      });
    }

    it('gets reads and flushes again; changes of unknown outcome are errors', async () => {
      const seen: SeenRequest[][] = [];
      await withClient(mute(seen), {}, async (kit, host) => {
        const errors = sendAll(kit, [
          read(512, 0),
          { op: 'write', posBytes: 0, data: 'x' },
          { op: 'flush' },
          { op: 'zero', posBytes: 0, lenBytes: 512 },
        ]);
        host.ring().cut(host.ring().all[0]!);
        await kit.runFor(500);
        assert.deepEqual(errors, [0, -ECONNRESET, 0, -ECONNRESET]);
        assert.deepEqual(
          seen[1]!.map((r) => r.type),
          [0, 3],
        );
      });
    });

    it('gets changes again with retryWrites, first, with their bytes, and newer ones wait for them', async () => {
      const seen: SeenRequest[][] = [];
      await withClient(mute(seen), { retryWrites: true }, async (kit, host) => {
        const writeOf = (sector: number, byte: number, flags: number): ProbeRequest => {
          return { op: 'write', posBytes: sector * 512, data: new Uint8Array(512).fill(byte), flags };
        };
        const errors = sendAll(
          kit,
          [1, 2, 3].map((n) => writeOf(n, n, F_FUA)),
        );
        host.ring().cut(host.ring().all[0]!);
        kit.run();
        const late = sendAll(kit, [writeOf(1, 9, 0)]);
        await kit.runFor(500);
        assert.deepEqual([...errors, ...late], [0, 0, 0, 0]);
        assert.deepEqual(
          seen[1]!.map((r) => [r.offset / 512, r.payload[0], r.flags]),
          [
            [1, 1, 1],
            [2, 2, 1],
            [3, 3, 1],
            [1, 9, 0],
          ],
        );
        assert.equal(kit.brick.stats.counter('sent_again').n, 3);
      });
    });

    it('and stays away: after the reconnect time what waits fails, and what comes, until it is back', async () => {
      await withClient(server(disk()), { reconnect: '5s' }, async (kit, host) => {
        const ring = host.ring();
        ring.refuse = 111;
        ring.cut(ring.all[0]!);
        kit.run();
        const errors: number[] = [];
        kit.request(read(), (a) => errors.push(a.err));
        await kit.runFor(4_900);
        assert.deepEqual(errors, []);
        await kit.runFor(200);
        assert.deepEqual(errors, [-ENOTCONN]);
        assert.equal((await kit.answerOf(read())).err, -ENOTCONN);
        ring.refuse = 0;
        await kit.runFor(2_000);
        assert.equal((await kit.answerOf(read())).err, 0);
      });
    });

    it('and comes back as another export gets no request', async () => {
      let requests = 0;
      const script = server(
        (request, peer, connection) => {
          if (connection > 0) requests++;
          return connection > 0 ? disk()(request, peer, connection) : null;
        },
        (connection) => ({ sizeBytes: connection === 0 ? 2 ** 20 : 2 ** 21 }),
      );
      await withClient(script, { reconnect: '2s' }, async (kit, host) => {
        const answer = kit.answerOf(read());
        kit.run();
        host.ring().cut(host.ring().all[0]!);
        assert.equal((await answer).err, -ENOTCONN);
        assert.equal(requests, 0);
        assert.ok(host.ring().all.length > 2, 'it is looked for again and again');
      });
    });

    it('with unflushed writes: every flush fails when that is wanted', async () => {
      for (const [unflushed, isFlushed, err] of [
        ['trust', false, 0],
        ['fail', false, -EIO],
        ['fail', true, 0],
      ] as const) {
        await withClient(server(disk()), { unflushed }, async (kit, host) => {
          await kit.answerOf({ op: 'write', posBytes: 0, data: 'x' });
          if (isFlushed) await kit.answerOf({ op: 'flush' });
          host.ring().cut(host.ring().all[0]!);
          await kit.runFor(500);
          assert.equal((await kit.answerOf({ op: 'flush' })).err, err);
          assert.equal((await kit.answerOf({ op: 'write', posBytes: 0, data: 'x', flags: F_FUA })).err, err);
        });
      }
    });

    it('a reply that overtakes the end of its own send is held until the payload has left', async () => {
      await withClient(
        server((request, peer, connection) => disk()(request, peer, connection)),
        {},
        async (kit, host) => {
          const ring = host.ring();
          ring.all[0]!.holdsSends = true;
          let answered = 0;
          kit.request({ op: 'write', posBytes: 0, data: new Uint8Array(4096) }, () => answered++);
          await kit.runFor(10);
          assert.equal(answered, 0, 'the kernel may still read the payload');
          ring.letSendsGo(ring.all[0]!);
          await kit.runFor(10);
          assert.equal(answered, 1);
        },
      );
    });

    it('can be switched off while nobody is there', async () => {
      const host = scriptedServer(server(disk()));
      const kit = new BrickKit(NbdClientBrick, { uri }, host);
      await kit.open();
      host.ring().refuse = 111;
      host.ring().cut(host.ring().all[0]!);
      await kit.runFor(100);
      await kit.close();
    });
  });

  it('understands addresses', () => {
    assert.deepEqual(parseNbdUri('nbd://192.0.2.1/a%20b'), {
      address: { host: '192.0.2.1', port: 10809 },
      exportName: 'a b',
      isTls: false,
    });
    assert.deepEqual(parseNbdUri('nbd://[2001:db8::1]:7').address, { host: '2001:db8::1', port: 7 });
    assert.deepEqual(parseNbdUri('nbd+unix:///?socket=/run/x'), {
      address: { path: '/run/x' },
      exportName: '',
      isTls: false,
    });
    assert.equal(parseNbdUri('nbds://127.0.0.1').isTls, true);
    for (const bad of [
      '',
      'http://x',
      'nbd://',
      'nbd://example.com/x',
      'nbd+unix:///x',
      'nbd://1.2.3.4:0/',
      'nbd://1.2.3.4/%zz',
    ])
      assert.throws(() => parseNbdUri(bad), /no address of an NBD export/, bad);
  });
});

/** Sends them in one tick. @returns the errors, as they come, in the order of the requests */
function sendAll(kit: BrickKit<NbdClientBrick>, requests: readonly ProbeRequest[]): number[] {
  const errors: number[] = [];
  requests.forEach((request, i) => kit.probe.send(request, ({ err }) => (errors[i] = err)));
  kit.run();
  return errors;
}

function kitRing(kit: BrickKit<NbdClientBrick>) {
  return { ring: kit.loop.ring!.ring as unknown as ReturnType<ReturnType<typeof scriptedServer>['ring']> };
}

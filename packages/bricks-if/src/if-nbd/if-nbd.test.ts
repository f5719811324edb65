import assert from 'node:assert/strict';
import {
  CAP_EXTENTS,
  CAP_FLUSH,
  CAP_TRIM,
  CLOCK,
  ENOSPC,
  createRandom,
  type DependencyContainer,
  type Loop,
} from '@mars/brick-core';
import { describeBrickConformance, useBrickKit } from '@mars/brick-core/testing';
import {
  CHUNK_BLOCK_STATUS,
  CHUNK_ERROR,
  CHUNK_ERROR_OFFSET,
  CHUNK_NONE,
  CHUNK_OFFSET_DATA,
  CMD_BLOCK_STATUS,
  CMD_DISC,
  CMD_FLAG_FUA,
  CMD_FLAG_REQ_ONE,
  CMD_FLUSH,
  CMD_READ,
  CMD_TRIM,
  CMD_WRITE,
  CMD_WRITE_ZEROES,
  NBD_EINVAL,
  NBD_EIO,
  NBD_ENOSPC,
  NBD_EPERM,
  OPT_GO,
  OPT_LIST,
  REP_ACK,
  REP_ERR_UNKNOWN,
  REP_SERVER,
} from '../nbd/protocol.js';
import { MemoryRing, type MemoryClient } from '../testing/memory-ring.test.kit.js';
import {
  GREETING_BYTES,
  clientFlags,
  infoData,
  join,
  option,
  parseOptionReplies,
  parseReplies,
  readAll,
  request,
  type Reply,
} from '../testing/nbd-talk.test.kit.js';
import { ServerKit, useMemoryRing, type ServerKitOptions } from '../testing/server-kit.test.kit.js';
import { IfNbdBrick } from './if-nbd.js';

describe('if-nbd', () => {
  let kit: ServerKit;
  const open = async (options: ServerKitOptions = {}): Promise<ServerKit> => (kit = await ServerKit.open(options));
  afterEach(() => kit.close());

  /** One request, its replies. */
  const ask = (client: MemoryClient, bytes: Uint8Array, readBytes = 0): Reply[] => {
    client.write(bytes);
    return parseReplies(readAll(kit, client), () => readBytes);
  };
  const errorOf = (replies: Reply[]): number => {
    assert.equal(replies.length, 1);
    const [reply] = replies;
    if (reply!.kind === 'simple') return reply!.error;
    return reply!.type === CHUNK_NONE ? 0 : reply!.data.readUInt32BE(0);
  };

  describe('serving requests', () => {
    it('writes what it is given, tells it when the brick below is done, and reads it back', async () => {
      await open();
      const client = join(kit);
      kit.disk.hold = true;
      client.write(request({ type: CMD_WRITE, cookie: 7n, offset: 513, data: Buffer.from('hello') }));
      kit.run();
      assert.equal(client.read().length, 0, 'answered before the brick below was');
      kit.disk.letGo();
      const [written] = parseReplies(readAll(kit, client));
      assert.deepEqual([written!.cookie, (written as { error: number }).error], [7n, 0]);
      const [read] = ask(client, request({ type: CMD_READ, cookie: 8n, offset: 512, length: 8 }));
      assert.deepEqual(read!.data, Buffer.from('\0\0\0\0\0\0\x02\0\0hello\0\0', 'latin1'));
    });

    it('passes FUA, FLUSH, TRIM and WRITE_ZEROES on as what they are', async () => {
      await open();
      const client = join(kit);
      for (const bytes of [
        request({ type: CMD_WRITE, flags: CMD_FLAG_FUA, data: Buffer.alloc(512, 1) }),
        request({ type: CMD_FLUSH, flags: CMD_FLAG_FUA }),
        request({ type: CMD_TRIM, length: 4096 }),
        request({ type: CMD_WRITE_ZEROES, flags: CMD_FLAG_FUA, length: 4096 }),
      ])
        assert.equal(errorOf(ask(client, bytes)), 0);
      assert.deepEqual(
        kit.disk.seen.map((r) => [r.op, r.lenBytes, r.isFua]),
        [
          ['write', 512, true],
          ['flush', 0, false],
          ['trim', 4096, false],
          ['zero', 4096, true],
        ],
      );
    });

    it('does nothing for empty requests, and says so', async () => {
      await open();
      for (const structured of [true, false]) {
        const client = join(kit, { structured });
        for (const type of [CMD_READ, CMD_WRITE, CMD_TRIM]) assert.equal(errorOf(ask(client, request({ type }))), 0);
        client.end();
      }
      assert.equal(kit.disk.seen.length, 0);
    });

    it('hands the errors of the brick below to the client, in the protocol words', async () => {
      await open();
      const client = join(kit);
      kit.disk.failAt = 1;
      assert.equal(errorOf(ask(client, request({ type: CMD_READ, length: 512 }))), NBD_EIO);
      kit.disk.failAt = 1;
      kit.disk.failWith = -ENOSPC;
      assert.equal(errorOf(ask(client, request({ type: CMD_WRITE, data: Buffer.alloc(512) }))), NBD_ENOSPC);
      assert.equal(kit.statusOf('brick').stats.counters['errors'], 2);
    });

    it('reads the payload of a refused WRITE away and goes on with the next request', async () => {
      await open({ params: { readOnly: true } });
      const client = join(kit);
      client.write(request({ type: CMD_WRITE, cookie: 1n, data: Buffer.alloc(300_000) }));
      client.write(request({ type: CMD_WRITE, cookie: 2n, data: Buffer.alloc(1) }));
      const replies = ask(client, request({ type: CMD_READ, cookie: 3n, length: 4 }));
      assert.deepEqual(
        replies.map((r) => [r.cookie, r.kind === 'simple' ? r.error : r.data.length]),
        [
          [1n, NBD_EPERM],
          [2n, NBD_EPERM],
          [3n, 12],
        ],
      );
      assert.deepEqual(kit.disk.seen.length, 1);
    });

    it('describes the extents of the brick below, and calls all allocated when that cannot tell', async () => {
      await open();
      const client = join(kit);
      const bytes = request({ type: CMD_BLOCK_STATUS, flags: CMD_FLAG_REQ_ONE, offset: 4096, length: 8192 });
      for (const hidden of [0, CAP_EXTENTS]) {
        kit.disk.hideCaps = hidden;
        kit.graph.wire({ consumer: 'brick', input: 'disk', nr: 0 }).refresh();
        const [reply] = ask(client, bytes);
        assert.equal((reply as { type: number }).type, CHUNK_BLOCK_STATUS);
        assert.deepEqual(reply!.data, Buffer.from('000000010000200000000000', 'hex'));
      }
    });

    it('offers only what the brick below can do', async () => {
      await open();
      kit.disk.hideCaps = CAP_FLUSH | CAP_TRIM;
      kit.graph.wire({ consumer: 'brick', input: 'disk', nr: 0 }).refresh();
      const client = join(kit);
      assert.equal(errorOf(ask(client, request({ type: CMD_FLUSH }))), NBD_EINVAL);
      assert.equal(errorOf(ask(client, request({ type: CMD_TRIM, length: 1 }))), NBD_EINVAL);
    });

    it('ends a connection that no longer speaks the protocol, and only that one', async () => {
      await open();
      const [broken, other] = [join(kit), join(kit)];
      broken.write(Buffer.alloc(28, 'x'));
      kit.run();
      assert.ok(broken.isClosedByServer);
      assert.equal(kit.statusOf('brick').stats.counters['brokenClients'], 1);
      assert.equal(errorOf(ask(other, request({ type: CMD_FLUSH }))), 0);
    });
  });

  describe('long requests', () => {
    const SIZE = 5 * 2 ** 20 + 700;
    const image = Buffer.alloc(SIZE);
    createRandom(5).bytes(image);

    it('are written in pieces and read back in chunks that cover everything once', async () => {
      await open({ disk: { size: '6M' } });
      const client = join(kit);
      const answer = ask(
        client,
        request({ type: CMD_WRITE, cookie: 5n, flags: CMD_FLAG_FUA, offset: 77, data: image }),
      );
      assert.equal(errorOf(answer), 0);
      assert.ok(kit.disk.seen.every((r) => r.isFua && r.lenBytes <= 2 ** 20));
      kit.disk.shuffleAnswers(3, 5);
      client.write(request({ type: CMD_READ, cookie: 6n, offset: 77, length: SIZE }));
      const bytes: Uint8Array[] = [];
      for (let i = 0; i < 100; i++) {
        kit.host.clock.advanceMs(1);
        bytes.push(client.read());
      }
      const chunks = parseReplies(Buffer.concat(bytes)) as (Reply & { kind: 'chunk' })[];
      const got = Buffer.alloc(SIZE);
      for (const { data } of chunks) data.copy(got, Number(data.readBigUInt64BE(0)) - 77, 8);
      assert.ok(got.equals(image));
      assert.deepEqual(
        chunks.map((c) => c.isLast),
        chunks.map((_, i) => i === chunks.length - 1),
      );
    });

    it('are read in one piece by clients without structured replies, and nothing comes between', async () => {
      await open({ disk: { size: '6M' } });
      kit.disk.store.set(image);
      const client = join(kit, { structured: false });
      kit.disk.shuffleAnswers(4, 3);
      client.write(request({ type: CMD_READ, cookie: 1n, length: 512 }));
      client.write(request({ type: CMD_READ, cookie: 2n, length: SIZE }));
      client.write(request({ type: CMD_READ, cookie: 3n, offset: 512, length: 512 }));
      const bytes: Uint8Array[] = [];
      for (let i = 0; i < 100; i++) {
        kit.host.clock.advanceMs(1);
        bytes.push(client.read());
      }
      const replies = parseReplies(Buffer.concat(bytes), (cookie) => (cookie === 2n ? SIZE : 512));
      assert.deepEqual(
        replies.map((r) => r.cookie),
        [1n, 2n, 3n],
      );
      assert.ok(replies[1]!.data.equals(image));
    });

    it('tell which piece failed, and are over after the last one', async () => {
      await open({ disk: { size: '6M' } });
      const client = join(kit);
      kit.disk.failAt = 2;
      const replies = ask(client, request({ type: CMD_READ, length: SIZE })) as (Reply & { kind: 'chunk' })[];
      const failed = replies.filter((r) => r.type === CHUNK_ERROR_OFFSET);
      assert.deepEqual(
        failed.map((r) => [r.data.readUInt32BE(0), r.data.readBigUInt64BE(6)]),
        [[NBD_EIO, 2n ** 20n]],
      );
      assert.equal(replies.filter((r) => r.type === CHUNK_OFFSET_DATA).length, 5);
      assert.equal(replies.filter((r) => r.isLast).length, 1);
      kit.disk.failAt = 3;
      assert.equal(errorOf(ask(client, request({ type: CMD_WRITE, data: image }))), NBD_EIO);
      assert.equal(errorOf(ask(client, request({ type: CMD_FLUSH }))), 0);
    });

    it('end the connection when a simple reply has begun and cannot be finished', async () => {
      await open({ disk: { size: '6M' } });
      const client = join(kit, { structured: false });
      kit.disk.failAt = 1;
      assert.equal(errorOf(ask(client, request({ type: CMD_READ, length: SIZE }))), NBD_EIO);
      kit.disk.failAt = 3;
      client.write(request({ type: CMD_READ, length: SIZE }));
      readAll(kit, client);
      assert.ok(client.isClosedByServer);
    });
  });

  describe('many requests', () => {
    it('are each answered once, with the right data, however the streams are cut and the answers overtake', async () => {
      for (let seed = 1; seed <= 12; seed++) {
        await open({ seed, disk: { size: 256 * 1024 }, params: { depth: 1 + (seed % 5) * 8 } });
        kit.disk.shuffleAnswers(seed, 2);
        workload(kit, seed, seed % 3 > 0);
        await kit.close();
      }
      await open();
    });
  });

  describe('back-pressure', () => {
    it('leaves requests in the socket while the client reads nothing, and serves them when it does', async () => {
      await open({ params: { depth: 16 } });
      const client = join(kit);
      const requests = 3000;
      for (let i = 0; i < requests; i++)
        client.write(request({ type: CMD_READ, cookie: BigInt(i), length: 64 * 1024 }));
      kit.run();
      kit.host.clock.advanceMs(100);
      assert.ok(client.unreadBytes > 0, 'everything was swallowed');
      assert.ok(kit.outstanding.objects <= 16, `${kit.outstanding.objects} objects for one client`);
      const replies = parseReplies(readAll(kit, client));
      assert.equal(replies.length, requests);
    });

    it('waits for the pool and the arena, and goes on without being woken by its own completions', async () => {
      await open({ poolObjects: 24, arenaBytes: 3 * 2 ** 20 });
      const hog = kit.host.loop.pool;
      const owner = { objects: 0 };
      const client = join(kit);
      const taken = [];
      for (let o = hog.take(owner, 0); o !== null; o = hog.take(owner, 0)) taken.push(o);
      client.write(request({ type: CMD_FLUSH }));
      kit.host.clock.advanceMs(5);
      assert.equal(client.read().length, 0);
      for (const o of taken) hog.free(o);
      kit.host.clock.advanceMs(5);
      assert.equal(parseReplies(client.read()).length, 1);
      assert.ok(kit.statusOf('brick').stats.counters['stalls']! > 0);
    });
  });

  describe('greed', () => {
    it('of clients that read no replies leaves memory for those who do', async () => {
      await open({ arenaBytes: 32 * 2 ** 20, poolObjects: 1024 });
      const greedy = [...Array(20).keys()].map(() => join(kit));
      for (const client of greedy) {
        for (let i = 0; i < 100; i++) client.write(request({ type: CMD_READ, length: 2 ** 20 }));
      }
      kit.host.clock.advanceMs(100);
      const modest = join(kit);
      assert.equal(parseReplies(readAll(kit, modest)).length, 0);
      const [reply] = ask(modest, request({ type: CMD_READ, length: 4096 }));
      assert.equal(reply!.data.length, 4096 + 8);
      for (const client of greedy) client.vanish();
    });

    it('of a client that begins a WRITE and never goes on is ended after a minute, when all others go on', async () => {
      await open();
      const [late, idle] = [join(kit), join(kit)];
      late.write(request({ type: CMD_WRITE, length: 2 ** 20 }));
      late.write(Buffer.alloc(1000));
      kit.host.clock.advanceMs(59_000);
      assert.ok(!late.isClosedByServer);
      kit.host.clock.advanceMs(15_000);
      assert.ok(late.isClosedByServer);
      assert.ok(!idle.isClosedByServer);
    });
  });

  describe('the end of a connection', () => {
    it('comes after the last reply when the client says goodbye', async () => {
      await open();
      const client = join(kit);
      kit.disk.hold = true;
      client.write(request({ type: CMD_WRITE, data: Buffer.alloc(512) }));
      client.write(request({ type: CMD_DISC }));
      kit.run();
      assert.ok(!client.isClosedByServer);
      kit.disk.letGo();
      assert.equal(errorOf(parseReplies(readAll(kit, client))), 0);
      assert.ok(client.isClosedByServer);
    });

    it('loses nothing but the replies when the client vanishes under load', async () => {
      await open({ disk: { size: '4M' } });
      const before = kit.outstanding;
      for (let i = 0; i < 50; i++) {
        const client = join(kit);
        kit.disk.hold = true;
        for (const length of [512, 70_000, 2 ** 20 + 5]) {
          client.write(request({ type: CMD_READ, length }));
          client.write(request({ type: CMD_WRITE, data: Buffer.alloc(length) }));
        }
        client.write(request({ type: CMD_WRITE, length: 100_000, data: Buffer.alloc(5) }).subarray(0, 28 + (i % 6)));
        kit.run();
        client.vanish();
        if (i % 2 === 0) kit.run();
        kit.disk.letGo();
        kit.host.clock.advanceMs(10);
      }
      kit.host.clock.advanceMs(20_000);
      assert.deepEqual(kit.outstanding, before);
    });

    it('by a broken protocol does not wait for the brick below, whose late answers are dropped', async () => {
      await open();
      const before = kit.outstanding;
      const client = join(kit);
      kit.disk.hold = true;
      for (const length of [512, 2 ** 20]) client.write(request({ type: CMD_READ, length }));
      client.write(request({ type: CMD_WRITE, data: Buffer.alloc(512) }));
      client.write(Buffer.alloc(28, 'x'));
      kit.host.clock.advanceMs(2000);
      assert.ok(client.isClosedByServer);
      assert.equal(kit.outstanding.objects, 3);
      kit.disk.letGo();
      kit.run();
      assert.equal(client.read().length, 0);
      assert.deepEqual(kit.outstanding, before);
    });

    it('waits as long as the brick below takes', async () => {
      await open();
      const client = join(kit);
      kit.disk.hold = true;
      client.write(request({ type: CMD_WRITE, data: Buffer.alloc(512) }));
      client.write(request({ type: CMD_DISC }));
      kit.host.clock.advanceMs(60_000);
      kit.disk.letGo();
      assert.equal(errorOf(parseReplies(readAll(kit, client))), 0);
      assert.ok(client.isClosedByServer);
    });

    it('comes for a client that takes no replies any more when the brick is switched off', async () => {
      await open();
      const client = join(kit);
      for (let i = 0; i < 4; i++) client.write(request({ type: CMD_READ, length: 2 ** 20 }));
      kit.run();
      await kit.release('brick');
      assert.ok(client.isClosedByServer);
    });

    it('lets what is under way finish when the brick is switched off, and takes no new client', async () => {
      await open();
      const client = join(kit);
      kit.disk.hold = true;
      client.write(request({ type: CMD_WRITE, cookie: 1n, data: Buffer.alloc(512) }));
      kit.run();
      const releasing = kit.release('brick');
      for (let turn = 0; turn < 20; turn++) await Promise.resolve(); // so that the led has fallen
      client.write(request({ type: CMD_WRITE, cookie: 2n, data: Buffer.alloc(512) }));
      kit.run();
      kit.disk.letGo();
      await releasing;
      assert.deepEqual(
        parseReplies(client.read()).map((r) => r.cookie),
        [1n],
      );
      assert.equal(kit.ring.openCount, 0);
    });
  });

  describe('handshakes', () => {
    it('that take too long are ended', async () => {
      await open({ params: { handshakeTime: '100ms' } });
      const silent = kit.connect();
      const slow = kit.connect();
      slow.write(clientFlags());
      const done = join(kit);
      kit.host.clock.advanceMs(200);
      assert.deepEqual(
        [silent, slow, done].map((c) => c.isClosedByServer),
        [true, true, false],
      );
    });

    it('of more clients than allowed are refused at once, until one leaves', async () => {
      await open({ params: { maxConnections: 2 } });
      const [one, , three] = [join(kit), kit.connect(), kit.connect()];
      assert.ok(three.isClosedByServer);
      one.vanish();
      kit.run();
      assert.ok(!kit.connect().isClosedByServer);
    });

    it('are counted as clients only when they have come to an end', async () => {
      await open();
      kit.connect();
      const client = join(kit);
      assert.equal(kit.statusOf('brick').stats.facts['openCount'], 1);
      client.vanish();
      kit.run();
      assert.equal(kit.statusOf('brick').stats.facts['openCount'], 0);
    });
  });

  describe('an address', () => {
    it('is shared by several bricks; clients choose by name, and one may go while the others serve', async () => {
      await open({ params: { name: 'one' } });
      await kit.add('second', { name: 'two', description: 'the other', readOnly: true });
      await kit.press('second');
      assert.equal(kit.ring.openCount, 1);
      assert.deepEqual(
        talk(kit, option(OPT_LIST)).map((r) => r.type),
        [REP_SERVER, REP_SERVER, REP_ACK],
      );
      const two = join(kit, { name: 'two' });
      assert.equal(errorOf(ask(two, request({ type: CMD_WRITE, data: Buffer.alloc(1) }))), NBD_EPERM);
      await kit.release('brick');
      assert.deepEqual(
        talk(kit, option(OPT_GO, infoData('one'))).map((r) => r.type),
        [REP_ERR_UNKNOWN],
      );
      assert.equal(errorOf(ask(two, request({ type: CMD_FLUSH }))), 0);
      assert.equal(talk(kit, option(OPT_GO, infoData(''))).at(-1)!.type, REP_ACK);
    });

    it('takes each name once, and one set of rules', async () => {
      await open();
      await kit.add('same', { readOnly: true });
      await assert.rejects(kit.press('same'), /has an export "" already/);
      await kit.add('other', { name: 'other', readOnly: true, maxConnections: 3 });
      await assert.rejects(kit.press('other'), /want it differently/);
      await kit.add('tls', { name: 'tls', readOnly: true, listen: ['/tls.sock'], tls: 'require' });
      await assert.rejects(kit.press('tls'), /there is no TLS/);
      assert.equal(errorOf(ask(join(kit), request({ type: CMD_FLUSH }))), 0);
    });

    it('lets its owner in, or those whom its mode names', async () => {
      await open();
      await kit.add('group', { name: 'group', readOnly: true, listen: ['/group.sock'], mode: '0660' });
      await kit.press('group');
      assert.deepEqual(kit.ring.modes, [0o600, 0o660]);
      await assert.rejects(kit.add('wrong', { listen: ['/wrong.sock'], mode: '0888' }), /mode/);
    });

    it('must be one', async () => {
      await open();
      await assert.rejects(kit.add('bad', { listen: ['127.0.0.1:99999'] }), /no address to listen on/);
    });
  });
});

describe('if-nbd as a brick', () => {
  const services = (host: DependencyContainer): void => {
    const loop = host.resolve(CLOCK) as Loop;
    useMemoryRing(loop, new MemoryRing(loop.arena.memory));
  };
  const kit = useBrickKit(IfNbdBrick, { listen: ['/test.sock'] }, { services });
  describeBrickConformance(kit);
});

/** The answers to one option of a fresh client. */
function talk(kit: ServerKit, bytes: Uint8Array): { type: number }[] {
  const client = kit.connect();
  client.write(clientFlags());
  client.write(bytes);
  kit.run();
  const replies = parseOptionReplies(client.read(), GREETING_BYTES);
  client.end();
  kit.run();
  return replies;
}

/** Two clients, random requests, a model of the disk; ranges under way never overlap, so every answer is known. */
function workload(kit: ServerKit, seed: number, structured: boolean): void {
  const random = createRandom(seed);
  const model = Buffer.from(kit.disk.store);
  const clients = [join(kit, { structured }), join(kit, { structured })];
  const half = model.length / 2;
  for (let round = 0; round < 30; round++) {
    const expected = clients.map(() => new Map<bigint, Buffer | null>());
    clients.forEach((client, i) => {
      const step = half / 16;
      for (let n = 0; n < 16; n++) {
        const offset = i * half + n * step + random.int(step / 2);
        const length = 1 + random.int(step / 2 - 1);
        const cookie = (BigInt(random.int(2 ** 32)) << 32n) | BigInt(n);
        if (random.int(2) === 0) {
          expected[i]!.set(cookie, Buffer.from(model.subarray(offset, offset + length)));
          client.write(request({ type: CMD_READ, cookie, offset, length }));
        } else {
          random.bytes(model.subarray(offset, offset + length));
          expected[i]!.set(cookie, null);
          client.write(request({ type: CMD_WRITE, cookie, offset, data: model.subarray(offset, offset + length) }));
        }
        if (random.int(4) === 0) kit.host.clock.advanceMs(1);
      }
    });
    clients.forEach((client, i) => checkAnswers(kit, client, expected[i]!));
  }
  assert.ok(model.equals(kit.disk.store));
}

function checkAnswers(kit: ServerKit, client: MemoryClient, expected: Map<bigint, Buffer | null>): void {
  const bytes: Uint8Array[] = [];
  for (let i = 0; i < 60; i++) {
    kit.host.clock.advanceMs(1);
    bytes.push(client.read());
  }
  for (const reply of parseReplies(Buffer.concat(bytes), (cookie) => expected.get(cookie)?.length ?? 0)) {
    const wanted = expected.get(reply.cookie);
    assert.notEqual(wanted, undefined, 'answered twice, or never asked');
    expected.delete(reply.cookie);
    if (reply.kind === 'chunk') assert.notEqual(reply.type, CHUNK_ERROR);
    else assert.equal(reply.error, 0);
    if (wanted) assert.ok(wanted.equals(reply.kind === 'chunk' ? reply.data.subarray(8) : reply.data));
  }
  assert.equal(expected.size, 0, 'not answered');
}

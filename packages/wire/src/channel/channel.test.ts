import assert from 'node:assert/strict';
import fc from 'fast-check';
import { HEAD_ROOM_BYTES, MarsError } from '@mars/brick-core';
import {
  DEAD_AFTER_MS,
  HANDSHAKE_TIMEOUT_MS,
  HEARTBEAT_MS,
  MAX_MESSAGE_BYTES,
  MAX_RAW_BYTES,
  MAX_SEND_QUEUE_BYTES,
  SEND_HIGH_WATER_BYTES,
} from '../limits.js';
import { defineStruct, t } from '../struct/struct.js';
import { ManualClock, MemoryLink } from '../testing/memory-stream.js';
import { greet, welcome, type Admit, type Hello } from './handshake.js';
import { Session } from './session.js';
import type { TrafficClass } from './types.js';

const NOTE = defineStruct('test.note', { text: t.str, number: t.int });
const BLOCK = defineStruct('test.block', { id: t.int });

const hello = (host: string, purpose = 'tree'): Hello => ({
  host,
  purpose,
  version: '1.0',
  capabilities: ['x'],
  successions: [],
});
const anybody: Admit = () => null;
const errorOf = (promise: Promise<unknown>): Promise<MarsError> =>
  promise.then(
    () => assert.fail('nothing was thrown'),
    (error: MarsError) => error,
  );

/** Stamps that count up from a start, and remember the newest that was seen. */
class TestStamps {
  seenNs: bigint[] = [];
  constructor(private nextNs: bigint) {}
  now(): bigint {
    return this.nextNs++;
  }
  seen(stampNs: bigint): void {
    this.seenNs.push(stampNs);
  }
}

interface Meeting {
  link: MemoryLink;
  clock: ManualClock;
  a: Session;
  b: Session;
  stamps: [TestStamps, TestStamps];
}

function sessions(cut?: (bytes: number) => number): Meeting {
  const link = new MemoryLink(cut);
  const clock = new ManualClock();
  const stamps: [TestStamps, TestStamps] = [new TestStamps(1000n), new TestStamps(5000n)];
  const a = new Session({ stream: link.a, clock, stamps: stamps[0] });
  const b = new Session({ stream: link.b, clock, stamps: stamps[1] });
  return { link, clock, a, b, stamps };
}

interface MeetOptions {
  cut?: (bytes: number) => number;
  admitA?: Admit;
  admitB?: Admit;
  isMember?: boolean;
}

async function meet({ cut, admitA = anybody, admitB = anybody, isMember = true }: MeetOptions = {}): Promise<Meeting> {
  const meeting = sessions(cut);
  const { link, clock, a, b } = meeting;
  const both = Promise.all([
    greet(a, { clock, me: hello('host-a'), admit: admitA, isMember: () => isMember }),
    welcome(b, { clock, me: hello('host-b'), admit: admitB, isMember: () => isMember }),
  ]);
  both.catch(() => {});
  await link.run();
  await both;
  return meeting;
}

async function open(options?: MeetOptions): Promise<Meeting> {
  const meeting = await meet(options);
  meeting.a.start();
  meeting.b.start();
  return meeting;
}

describe('a channel', () => {
  it('introduces both sides, and says nothing before that to a stranger', async () => {
    const { a, b } = await meet();
    assert.deepEqual([a.remote.host, b.remote.host], ['host-b', 'host-a']);
    assert.ok(a.remote.capabilities.has('x'));
    const alone = sessions();
    welcome(alone.b, { clock: alone.clock, me: hello('host-b'), admit: anybody, isMember: () => true }).catch(() => {});
    await alone.link.run();
    assert.equal(alone.link.a.incomingBytes, 0, 'the accepting side spoke first');
  });

  it('delivers messages in order, however the bytes are cut', async () => {
    const notes = fc.array(fc.record({ text: fc.string(), number: fc.integer() }, { noNullPrototype: true }));
    await fc.assert(
      fc.asyncProperty(notes, fc.integer({ min: 1, max: 40 }), async (list, piece) => {
        const { a, b, link } = await open({ cut: () => piece });
        const got: object[] = [];
        b.on(NOTE, (note) => got.push(note));
        for (const note of list) a.send(NOTE, note);
        await link.run();
        assert.deepEqual(got, list);
      }),
      { numRuns: 50 },
    );
  });

  it('delivers nothing before start, and then everything', async () => {
    const { a, b, link } = await meet();
    a.start();
    a.send(NOTE, { text: 'early', number: 1 });
    await link.run();
    const got: string[] = [];
    b.on(NOTE, ({ text }) => got.push(text));
    await link.run();
    assert.deepEqual(got, []);
    b.start();
    await link.run();
    assert.deepEqual(got, ['early']);
  });

  it('keeps what came in one piece with the hello until start', async () => {
    const { link, clock, a, b } = sessions();
    const met = welcome(b, { clock, me: hello('host-b'), admit: anybody, isMember: () => true });
    greet(a, { clock, me: hello('host-a'), admit: anybody, isMember: () => true }).catch(() => {});
    a.send(NOTE, { text: 'at once', number: 1 });
    link.b.incoming.push(Buffer.concat(link.b.incoming.splice(0)));
    await link.run();
    await met;
    const got: string[] = [];
    b.on(NOTE, ({ text }) => got.push(text));
    b.start();
    assert.deepEqual(got, ['at once']);
  });

  it('carries a Lamport stamp in every frame, and tells the clock of the other side', async () => {
    const { a, b, link, stamps } = await open();
    const arrived: bigint[] = [];
    b.on(NOTE, (_, stampNs) => arrived.push(stampNs));
    const before = stamps[1].seenNs.length;
    const next = stamps[0].now();
    a.send(NOTE, { text: '', number: 0 });
    a.send(NOTE, { text: '', number: 0 });
    await link.run();
    assert.deepEqual(arrived, [next + 2n, next + 3n], 'the definition has a stamp of its own');
    assert.deepEqual(stamps[1].seenNs.slice(before), [next + 1n, next + 2n, next + 3n]);
  });

  it('believes no stamp of somebody who has not been admitted', async () => {
    const { link, clock, a, b, stamps } = sessions();
    const refused = errorOf(
      welcome(b, { clock, me: hello('b'), admit: () => ({ reason: 'no-member', text: 'gone' }), isMember: () => true }),
    );
    greet(a, { clock, me: hello('a'), admit: anybody, isMember: () => true }).catch(() => {});
    await link.run();
    assert.equal((await refused).code, 'PEER_REFUSED');
    assert.deepEqual(stamps[1].seenNs, []);
    const joining = await open({ isMember: false });
    joining.a.send(NOTE, { text: 'hello', number: 1 });
    await joining.link.run();
    assert.deepEqual(joining.stamps[1].seenNs, []);
  });

  it('takes nothing but a hello from a stranger, whoever listens', async () => {
    const { link, clock, a, b } = sessions();
    b.on(NOTE, () => assert.fail('a message of a stranger'));
    const refused = errorOf(welcome(b, { clock, me: hello('b'), admit: anybody, isMember: () => true }));
    const greeting = Buffer.from('MARSwire\u0001\0\u0001\0');
    a.sendGreeting(greeting);
    a.send(NOTE, { text: '', number: 0 });
    await link.run();
    assert.match((await refused).message, /before the admission|left/);
    assert.ok(link.b.isClosed);
  });

  it('ends with a stranger that talks too much, also when he joins', async () => {
    const { a, b, link } = await open({ isMember: false });
    b.on(NOTE, () => {});
    const end = new Promise<MarsError | null>((resolve) => b.onClose(resolve));
    for (let i = 0; i < 10; i++) a.send(NOTE, { text: 'x'.repeat(10_000), number: i });
    await link.run();
    assert.equal((await end)?.code, 'WIRE_PROTOCOL');
    assert.ok(b.stats.receivedMessages < 8);
  });

  it('tells a peer why it does not come in', async () => {
    const { link, clock, a, b } = sessions();
    const atA = errorOf(greet(a, { clock, me: hello('a'), admit: anybody, isMember: () => true }));
    const refusal: Admit = () => ({ reason: 'no-member', text: 'removed\u001b[2J' });
    const atB = errorOf(welcome(b, { clock, me: hello('b'), admit: refusal, isMember: () => true }));
    await link.run();
    const [errorA, errorB] = [await atA, await atB];
    assert.deepEqual([errorA.code, errorA.details['reason']], ['PEER_REFUSED', 'no-member']);
    assert.match(errorA.message, /removed\?\[2J/, 'control characters are not shown');
    assert.equal(errorB.details['reason'], 'no-member');
    assert.ok(link.a.isClosed && link.b.isClosed);
  });

  it('does not wait for ever for a hello', async () => {
    const { clock, b, link } = sessions();
    const late = errorOf(welcome(b, { clock, me: hello('b'), admit: anybody, isMember: () => true }));
    // One byte now and then does not help.
    for (let ms = 0; ms < HANDSHAKE_TIMEOUT_MS; ms += 1000) {
      link.a.write(Uint8Array.of(0));
      clock.advance(1000);
    }
    assert.equal((await late).code, 'WIRE_SILENT');
    assert.ok(link.b.isClosed);
  });

  it('does not understand versions of another time, and says so', async () => {
    const { link, clock, a, b } = sessions();
    const atB = errorOf(welcome(b, { clock, me: hello('b'), admit: anybody, isMember: () => true }));
    const body = Buffer.from('MARSwire\0\0\0\0');
    body.writeUInt16LE(9, 8);
    body.writeUInt16LE(7, 10);
    a.sendGreeting(body);
    await link.run();
    assert.match((await atB).message, /left|versions 7 to 9/);
    assert.ok(link.b.isClosed);
  });

  it('ignores messages that nobody listens to, and kinds of frames of the future', async () => {
    const { a, b, link } = await open();
    a.send(NOTE, { text: '', number: 0 });
    const future = Buffer.alloc(20);
    future.writeUInt32LE(16, 0);
    future[4] = 77;
    link.a.write(future);
    a.send(BLOCK, { id: 1 });
    let got = 0;
    b.on(BLOCK, () => got++);
    await link.run();
    assert.deepEqual([got, b.stats.ignoredMessages, b.isOpen], [1, 1, true]);
  });

  it('ends with what a handler throws, if that is a MarsError', async () => {
    const { a, b, link } = await open();
    b.on(NOTE, () => {
      throw new MarsError('WIRE_PROTOCOL', 'that was nonsense');
    });
    const ends: (MarsError | null)[] = [];
    a.onClose((error) => ends.push(error));
    b.onClose((error) => ends.push(error));
    a.send(NOTE, { text: '', number: 0 });
    await link.run();
    assert.deepEqual(
      ends.map((error) => error?.code),
      ['WIRE_PROTOCOL', 'WIRE_PROTOCOL'],
    );
  });

  it('closes in an orderly way: everything sent arrives, both sides hear null, once', async () => {
    const { a, b, link } = await open({ cut: () => 1000 });
    const got: number[] = [];
    b.on(NOTE, ({ number }) => got.push(number));
    const ends: unknown[] = [];
    a.onClose((error) => ends.push(['a', error]));
    b.onClose((error) => ends.push(['b', error]));
    for (let i = 0; i < 100; i++) a.send(NOTE, { text: 'x'.repeat(1000), number: i });
    a.close();
    assert.equal(a.send(NOTE, { text: 'too late', number: -1 }), false);
    await link.run();
    assert.equal(got.length, 100);
    assert.deepEqual(ends.sort(), [
      ['a', null],
      ['b', null],
    ]);
  });

  it('tells an end without good-bye from an orderly one', async () => {
    const { a, b, link } = await open();
    const end = new Promise<MarsError | null>((resolve) => b.onClose(resolve));
    assert.ok(a.isOpen);
    link.a.end();
    await link.run();
    assert.equal((await end)?.code, 'SOCKET');
  });
});

describe('heartbeats', () => {
  it('cost one ping and its answer per interval of silence, and measure the way', async () => {
    const { a, b, link, clock } = await open();
    await link.run();
    const before = a.stats.sentBytes + b.stats.sentBytes;
    clock.advance(HEARTBEAT_MS);
    clock.advance(20);
    await link.run();
    clock.advance(0);
    assert.ok(a.stats.sentBytes + b.stats.sentBytes - before <= 4 * 16);
    assert.ok(a.stats.roundTripMs >= 20 || b.stats.roundTripMs >= 20);
  });

  it('end a channel whose other side has fallen silent', async () => {
    const { a, clock } = await open();
    const end = new Promise<MarsError | null>((resolve) => a.onClose(resolve));
    clock.advance(DEAD_AFTER_MS + HEARTBEAT_MS);
    // Nothing moves on the link, so the good-bye does not arrive either.
    clock.advance(10_000);
    assert.equal((await end)?.code, 'WIRE_SILENT');
  });

  it('do not count the time in which nobody reads', async () => {
    const { a, b, clock, link } = await open();
    a.pause();
    b.pause();
    clock.advance(10 * DEAD_AFTER_MS);
    assert.ok(a.isOpen);
    a.resume();
    b.resume();
    clock.advance(HEARTBEAT_MS);
    await link.run();
    assert.ok(a.isOpen);
  });
});

describe('back-pressure', () => {
  it('says no when much is waiting, and calls when that has gone', async () => {
    const { a, b, link } = await open();
    b.on(NOTE, () => {});
    b.pause();
    let drains = 0;
    a.onDrain(() => drains++);
    const text = 'x'.repeat(60_000);
    let sent = 0;
    while (a.send(NOTE, { text: text + sent, number: sent })) assert.ok(sent++ < 100_000);
    assert.ok(a.stats.queuedBytes >= SEND_HIGH_WATER_BYTES);
    await link.run();
    assert.equal(drains, 0);
    b.resume();
    await link.run();
    assert.deepEqual([drains, b.stats.receivedMessages, a.stats.queuedBytes], [1, sent + 1, 0]);
  });

  it('gives up a peer that never reads', async () => {
    const { a, b, link } = await open();
    b.pause();
    const end = new Promise<MarsError | null>((resolve) => a.onClose(resolve));
    const block = new Uint8Array(1024 * 1024);
    for (let i = 0; i <= MAX_SEND_QUEUE_BYTES / block.length + 1; i++) a.sendRaw(BLOCK, { id: i }, block);
    await link.run();
    assert.equal((await end)?.code, 'WIRE_LIMIT');
  });

  it('lets the tree overtake log data, and log data overtake a sync', async () => {
    const { a, b, link } = await open();
    const order: string[] = [];
    b.on(NOTE, ({ text }) => order.push(text));
    b.onRaw(BLOCK, { begin: ({ id }) => order.push(`block ${id}`), data: () => {}, end: () => {} });
    const filler = new Uint8Array(100_000);
    a.sendRaw(BLOCK, { id: 0 }, filler, { class: 'sync' });
    a.sendRaw(BLOCK, { id: 1 }, filler, { class: 'sync' });
    a.sendRaw(BLOCK, { id: 2 }, filler, { class: 'log' });
    a.send(NOTE, { text: 'tree', number: 0 });
    await link.run();
    assert.deepEqual(order, ['block 0', 'tree', 'block 2', 'block 1']);
  });
});

describe('raw frames', () => {
  interface Got {
    id: number;
    bytes: Buffer;
    announced: number;
    isDone: boolean;
  }
  const collect = (session: Session): Got[] => {
    const got: Got[] = [];
    session.onRaw(BLOCK, {
      begin: ({ id }, announced) => got.push({ id, bytes: Buffer.alloc(0), announced, isDone: false }),
      data: (bytes) => (got.at(-1)!.bytes = Buffer.concat([got.at(-1)!.bytes, bytes])),
      end: () => (got.at(-1)!.isDone = true),
    });
    return got;
  };

  it('bring any payload, however it is cut, mixed with messages', async () => {
    const payloads = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(payloads, fc.integer({ min: 1, max: 70 }), fc.boolean(), async (list, piece, lend) => {
        const { a, b, link } = await open({ cut: () => piece });
        const got = collect(b);
        let notes = 0;
        b.on(NOTE, () => notes++);
        let returned = 0;
        list.forEach((payload, id) => {
          a.sendRaw(BLOCK, { id }, payload, { class: 'meta', ...(lend ? { done: () => returned++ } : {}) });
          a.send(NOTE, { text: '', number: id });
        });
        await link.run();
        assert.deepEqual(
          got.map(({ id, bytes, announced, isDone }) => ({ id, bytes: [...bytes], announced, isDone })),
          list.map((payload, id) => ({ id, bytes: [...payload], announced: payload.length, isDone: true })),
        );
        assert.deepEqual([notes, returned], [list.length, lend ? list.length : 0]);
      }),
      { numRuns: 60 },
    );
  });

  it('put their header into the room in front of the payload', async () => {
    const { a, b, link } = await open();
    const got = collect(b);
    a.sendRaw(BLOCK, { id: 6 }, Buffer.from('the definition goes first'));
    await link.run();
    const arena = Buffer.alloc(1000, 0xee);
    const payload = arena.subarray(500, 600).fill(7);
    const before = link.b.incoming.length;
    a.sendRaw(BLOCK, { id: 7 }, payload, { headRoomBytes: HEAD_ROOM_BYTES, done: () => {} });
    assert.equal(link.b.incoming.length - before, 1, 'one write');
    await link.run();
    assert.deepEqual([got[1]!.id, got[1]!.bytes.length], [7, 100]);
    assert.ok(arena.subarray(0, 500 - HEAD_ROOM_BYTES).every((byte) => byte === 0xee));
    assert.ok(arena.subarray(600).every((byte) => byte === 0xee));
  });

  it('give every lent payload back once, also when the channel breaks', async () => {
    const { a, b, link } = await open();
    b.pause();
    const returned: number[] = [];
    for (let id = 0; id < 50; id++) a.sendRaw(BLOCK, { id }, new Uint8Array(10_000), { done: () => returned.push(id) });
    await link.run();
    assert.ok(returned.length < 50);
    link.b.destroy();
    a.sendRaw(BLOCK, { id: 50 }, new Uint8Array(1), { done: () => returned.push(50) });
    assert.deepEqual(
      returned.sort((x, y) => x - y),
      [...Array(51).keys()],
    );
  });

  it('refuse what is too large to send', async () => {
    const { a } = await open();
    assert.throws(() => a.sendRaw(BLOCK, { id: 1 }, new Uint8Array(MAX_RAW_BYTES + 1)), { code: 'WIRE_LIMIT' });
    assert.throws(() => a.send(NOTE, { text: 'x'.repeat(MAX_MESSAGE_BYTES + 1), number: 0 }), { code: 'WIRE_LIMIT' });
    assert.ok(a.isOpen);
  });
});

describe('compression', () => {
  const send = async (texts: string[], trafficClass?: TrafficClass): Promise<Session> => {
    const { a, b, link } = await open();
    const got: string[] = [];
    b.on(NOTE, ({ text }) => got.push(text));
    for (const text of texts) {
      a.send(NOTE, { text, number: 1 }, trafficClass);
      await link.run();
    }
    assert.deepEqual(got, texts);
    return a;
  };

  it('makes long lists of similar things small', async () => {
    const paths = Array.from({ length: 2000 }, (_, i) => `/mars/resource-r${i}/actual-nodea/is-primary`).join('\n');
    const a = await send([paths]);
    assert.ok(a.stats.sparedBytes > 0.7 * paths.length);
  });

  it('leaves alone what is short or does not get smaller', async () => {
    const noise = Buffer.from(Array.from({ length: 6000 }, () => Math.floor(fc.sample(fc.nat(255), 1)[0]!))).toString(
      'base64',
    );
    const a = await send(['x'.repeat(500), noise.slice(0, 1100)]);
    assert.equal(a.stats.sparedBytes < 600, true);
  });
});

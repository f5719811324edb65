import assert from 'node:assert/strict';
import { CAP_TRIM, createRandom, EIO, ETIME, type Graph } from '@mars/brick-core';
import { StackKit, describeBrickConformance, type KitOptions } from '@mars/brick-core/testing';
import fc from 'fast-check';
import { BRICK_NET, BrickNetHub } from './brick-net.js';
import { ClientBrick, ServerBrick } from './index.js';
import { FakeNet } from './testing/fake-net.test.kit.js';

const KiB = 1024;

interface NetKitOptions {
  client?: Record<string, unknown>;
  server?: Record<string, unknown>;
  disk?: Record<string, unknown>;
  poolObjects?: number;
}

/** probe ──> client ~~~ server ──> disk, in one loop. */
class NetKit extends StackKit {
  net!: FakeNet;
  bootId = 'boot-1';

  constructor(private readonly settings: NetKitOptions = {}) {
    const kit: { self: NetKit | null } = { self: null };
    const options: KitOptions = {
      bricks: [ClientBrick, ServerBrick],
      arenaBytes: 32 * 1024 * KiB,
      services: (host) => kit.self!.compose(host),
      ...(settings.disk ? { disk: settings.disk } : {}),
      ...(settings.poolObjects ? { poolObjects: settings.poolObjects } : {}),
    };
    super('client and server', (graph, disk) => kit.self!.buildNet(graph, disk), options);
    kit.self = this;
  }

  override clone(): NetKit {
    return new NetKit(this.settings);
  }

  private compose(host: {
    register(token: unknown, provider: { useFactory: () => unknown }): unknown;
    resolve(token: unknown): unknown;
  }): void {
    let hub: BrickNetHub | null = null;
    host.register(BRICK_NET, {
      useFactory: () => {
        if (hub === null) {
          this.net = new FakeNet(this.loop, createRandom(1));
          const { bootId } = this;
          hub = new BrickNetHub({
            peers: this.net,
            clock: this.loop,
            bootId,
            addressOf: () => ({ host: 'x', port: 1 }),
          });
          Object.defineProperty(hub, 'bootId', { get: () => this.bootId });
        }
        return hub;
      },
    });
  }

  private buildNet(graph: Graph, disk: string): string {
    graph.add('server', 'server', { export: 'x', write: true, ...this.settings.server });
    graph.connect({ consumer: 'server', input: 'next', nr: 0 }, disk);
    graph.add('client', 'client', { peer: 'b', export: 'x', write: true, ...this.settings.client });
    return 'client';
  }

  /** The server before the client, which waits for it. */
  override async pressAll(): Promise<void> {
    for (const name of ['disk', 'server']) await this.settle(this.graph.press(name));
    await super.pressAll();
  }
}

function useNetKit(settings: NetKitOptions = {}): NetKit {
  const kit = new NetKit(settings);
  beforeEach(() => kit.open());
  afterEach(() => kit.close());
  return kit;
}

interface Step {
  op: 'write' | 'read' | 'flush' | 'zero';
  block: number;
  blocks: number;
  byte: number;
  pauseMs: number;
  breaks: boolean;
}

const steps = fc.array(
  fc.record<Step>({
    op: fc.constantFrom<Step['op'][]>('write', 'write', 'read', 'flush', 'zero'),
    block: fc.integer({ min: 0, max: 60 }),
    blocks: fc.integer({ min: 1, max: 40 }),
    byte: fc.integer({ min: 1, max: 255 }),
    pauseMs: fc.integer({ min: 0, max: 6 }),
    breaks: fc.boolean(),
  }),
  { minLength: 5, maxLength: 60 },
);

/**
 * Plays requests one after the other for each place, while channels break: what a completed write has written must be what every later
 * read sees, and in the end the disk.
 */
async function play(kit: NetKit, list: readonly Step[]): Promise<void> {
  const model = new Uint8Array(100 * 4096);
  const busy = new Set<number>();
  let open = 0;
  for (const { op, block, blocks, byte, pauseMs, breaks } of list) {
    const range = op === 'flush' ? [] : Array.from({ length: blocks }, (_, i) => block + i).filter((b) => b < 100);
    while (range.some((b) => busy.has(b))) kit.clock.advanceMs(1);
    const posBytes = block * 4096;
    const lenBytes = range.length * 4096;
    const done = (): void => {
      open--;
      for (const b of range) busy.delete(b);
    };
    open++;
    if (op === 'flush') kit.flush(({ err }) => (assert.equal(err, 0), done()));
    for (const b of range) busy.add(b);
    if (op === 'write' || op === 'zero') {
      model.fill(op === 'write' ? byte : 0, posBytes, posBytes + lenBytes);
      const check = ({ err }: { err: number }): void => (assert.equal(err, 0), done());
      if (op === 'write') kit.write({ posBytes, data: new Uint8Array(lenBytes).fill(byte) }, check);
      else kit.zero({ posBytes, lenBytes }, check);
    } else if (op === 'read') {
      const want = model.slice(posBytes, posBytes + lenBytes);
      kit.read({ posBytes, lenBytes }, ({ err, data }) => {
        assert.equal(err, 0);
        assert.ok(Buffer.compare(data, want) === 0, 'a read saw something else than what was written');
        done();
      });
    }
    if (breaks) kit.net.breakAll();
    kit.clock.advanceMs(pauseMs);
  }
  for (let ms = 0; open > 0 && ms < 60_000; ms += 10) kit.clock.advanceMs(10);
  assert.equal(open, 0, 'requests were never answered');
  assert.ok(Buffer.compare(kit.disk.store.subarray(0, model.length), model) === 0, 'the disk holds something else');
}

describe('client and server', () => {
  // Messages are objects, and the network is slower than the collector: requests may allocate here.
  const kit = useNetKit();
  describeBrickConformance(kit, { allocationFree: false });

  it('answer everything, once and in the right order, however often the connections break', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.integer(), fc.integer({ min: 1, max: 4 }), async (list, seed, lanes) => {
        const kit = new NetKit({ client: { lanes } });
        await kit.open();
        kit.disk.shuffleAnswers(seed, 15);
        await play(kit, list);
        await kit.close();
      }),
      { numRuns: 40 },
    );
  });

  it('never let an old copy of a write arrive behind a newer one', async () => {
    kit.disk.hold = true;
    let first = -1;
    kit.write({ posBytes: 0, data: new Uint8Array(4096).fill(1) }, ({ err }) => (first = err));
    kit.clock.advanceMs(10);
    assert.equal(kit.disk.heldBack, 1);
    kit.net.breakAll();
    kit.clock.advanceMs(500);
    // The lane is not let in again as long as its old write is under way.
    assert.equal(kit.disk.heldBack, 1);
    kit.disk.letGo();
    kit.clock.advanceMs(500);
    assert.equal(first, 0);
    await kit.answerOf({ op: 'write', posBytes: 0, data: new Uint8Array(4096).fill(2) });
    kit.clock.advanceMs(500);
    assert.equal(kit.disk.store[0], 2);
    assert.equal(kit.disk.seen.filter((s) => s.op === 'write').length, 3);
  });

  it('wait for a network that comes back after a minute', async () => {
    await kit.answerOf({ op: 'write', posBytes: 0, data: 'before' });
    kit.net.isUp = false;
    kit.net.breakAll();
    let answer = '';
    kit.read({ posBytes: 0, lenBytes: 6 }, ({ data }) => (answer = Buffer.from(data).toString()));
    kit.clock.advanceMs(60_000);
    assert.equal(answer, '');
    assert.equal(kit.brick.stats.snapshot().facts['connected'], false);
    kit.net.isUp = true;
    kit.clock.advanceMs(1000);
    assert.equal(answer, 'before');
    assert.equal(kit.brick.stats.snapshot().facts['connected'], true);
  });

  it('tell at the next flush that a host was started anew and may have lost something', async () => {
    await kit.answerOf({ op: 'write', posBytes: 0, data: 'kept' });
    assert.equal((await kit.answerOf({ op: 'flush' })).err, 0);
    kit.bootId = 'boot-2';
    kit.net.breakAll();
    kit.clock.advanceMs(500);
    assert.equal((await kit.answerOf({ op: 'flush' })).err, 0, 'nothing was unflushed');
    await kit.answerOf({ op: 'write', posBytes: 0, data: 'lost' });
    kit.bootId = 'boot-3';
    kit.net.breakAll();
    kit.clock.advanceMs(500);
    assert.equal((await kit.answerOf({ op: 'flush' })).err, -EIO);
    assert.equal((await kit.answerOf({ op: 'flush' })).err, 0);
  });

  it('see a change of what is exported', async () => {
    kit.disk.hideCaps = CAP_TRIM;
    (kit.disk as unknown as { ctx: { infoChanged(): void } }).ctx.infoChanged();
    kit.clock.advanceMs(50);
    assert.ok(!kit.advertised.includes('trim'));
  });

  it('compute digests where the data is', async () => {
    kit.disk.store.fill(5, 0, 4096);
    const before = kit.net.carriedBytes;
    const { err, lenBytes } = await kit.answerOf({ op: 'digests', posBytes: 0, lenBytes: 512 * KiB });
    assert.deepEqual([err, lenBytes], [0, 8 * 16]);
    assert.ok(kit.net.carriedBytes - before < 1000);
  });

  describe('with a time limit', () => {
    const limited = useNetKit({ client: { ioTimeout: '5s' } });
    it('answer ETIME instead of waiting for ever, and work again afterwards', async () => {
      limited.net.isUp = false;
      limited.net.breakAll();
      const errors: number[] = [];
      limited.write({ posBytes: 0, data: 'x' }, ({ err }) => errors.push(err));
      limited.read({ posBytes: 0, lenBytes: 1 }, ({ err }) => errors.push(err));
      limited.clock.advanceMs(4000);
      assert.deepEqual(errors, []);
      limited.clock.advanceMs(2000);
      assert.deepEqual(errors, [-ETIME, -ETIME]);
      limited.net.isUp = true;
      limited.clock.advanceMs(1000);
      assert.equal((await limited.answerOf({ op: 'write', posBytes: 0, data: 'y' })).err, 0);
    });
  });

  describe('of a read-only export', () => {
    const readOnly = useNetKit({ server: { write: false }, client: { write: false } });
    it('offer no operation that changes something', () => {
      for (const op of ['write', 'trim', 'zero'] as const) assert.ok(!readOnly.advertised.includes(op), op);
      assert.ok(readOnly.advertised.includes('read'));
    });
  });

  it('do not come together when the client wants to write and may not, and say why', async () => {
    const refused = new NetKit({ server: { write: false } });
    await refused.open({ press: false });
    for (const name of ['disk', 'server']) await refused.settle(refused.graph.press(name));
    const pressing = refused.graph.press('client');
    pressing.catch(() => {});
    for (let i = 0; i < 20; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      refused.clock.advanceMs(50);
    }
    assert.match(String(refused.brick.stats.snapshot().facts['problem']), /"x" is exported read-only/);
    await refused.settle(refused.graph.release('client'));
    await refused.close();
  });

  describe('with little memory', () => {
    it('go on by turns', async () => {
      const poor = new NetKit({ server: { creditRequests: 1000 }, poolObjects: 24 });
      await poor.open();
      let answers = 0;
      for (let i = 0; i < 12; i++) {
        poor.write({ posBytes: i * 65_536, data: new Uint8Array(65_536).fill(i + 1) }, ({ err }) => {
          assert.equal(err, 0);
          answers++;
        });
      }
      poor.clock.advanceMs(2000);
      assert.equal(answers, 12);
      assert.equal(poor.disk.store[11 * 65_536], 12);
      await poor.close();
    });
  });
});

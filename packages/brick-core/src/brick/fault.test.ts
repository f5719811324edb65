import assert from 'node:assert/strict';
import { inject } from '../di.js';
import { ENOTRECOVERABLE, ESHUTDOWN } from '../errno.js';
import { InvariantError, invariant } from '../invariant.js';
import { CLOCK, type Clock } from '../machine/clock.js';
import { RingQueue, type RingClient, type RingPlace } from '../machine/ring-queue.js';
import { CQ_WORDS, IOV_WORDS, SQ_WORDS, type Ring } from '../machine/ring.js';
import { OP_FLUSH } from '../request/ops.js';
import type { XioObject } from '../request/xio-object.js';
import { BrickKit } from '../testing/index.js';
import { FilterBrick } from './filter-brick.js';
import { Brick } from './meta.js';

type Place = 'nowhere' | 'endBatch' | 'timer' | 'timer of its own' | 'timer of nobody' | 'ring' | 'ring helper';

/** Keeps every request for a moment, in the way under test, and then throws. */
@Brick({ type: 'test-faulty', inputs: { next: {} }, ops: 'all' })
class Faulty extends FilterBrick implements RingClient {
  where: Place = 'nowhere';
  passesOnFirst = false;
  breaksInvariant = false;
  stops = 0;
  private kept: XioObject | null = null;

  constructor(@inject(CLOCK) private readonly clock: Clock) {
    super();
  }

  protected override stop(): void {
    this.stops++;
  }

  override io(o: XioObject): void {
    const { loop } = this.ctx;
    if (this.where === 'nowhere') return this.next.io(o);
    if (this.where === 'timer') return this.clock.after(1, o, this.work);
    if (this.where === 'ring') return void loop.ring!.read(0, 0, 0, o, this, 0);
    // What follows throws without a request in its hands; this one is answered properly.
    loop.finish(o, 0);
    if (this.where === 'endBatch') this.plug();
    if (this.where === 'timer of its own') loop.after(1, this, this.fail);
    if (this.where === 'timer of nobody') loop.after(1, undefined, this.fail);
    if (this.where === 'ring helper') loop.ring!.nop({ ringDone: this.fail }, 0);
  }

  ringDone(_token: number, _result: number, place: RingPlace | null): void {
    this.work(place as XioObject);
  }

  override endBatch(): void {
    this.fail();
  }

  override complete(o: XioObject): void {
    if (this.objects > 0) {
      this.kept = o;
      this.clock.after(1, o, this.work);
    } else o.done(o.err);
  }

  /** A request of its own, which it still holds when it throws. */
  sendOne(): void {
    const o = this.ctx.pool.take(this, 0)!;
    o.op = OP_FLUSH;
    o.push(this);
    this.next.io(o);
  }

  /** Sets a timer that does not hang on any request. */
  failIn(ms: number): void {
    this.clock.after(ms, undefined, this.fail);
  }

  get keeps(): XioObject | null {
    return this.kept;
  }

  private readonly work = (o: XioObject): void => {
    if (this.passesOnFirst) this.next.io(o);
    this.fail();
  };

  private readonly fail = (): void => {
    invariant(!this.breaksInvariant, 'ours');
    throw new Error('faulty');
  };
}

/** Completes everything at once. */
class EagerRing implements Ring {
  readonly arena = new ArrayBuffer(8);
  readonly sq = new Int32Array(SQ_WORDS * 8);
  readonly cq = new Int32Array(CQ_WORDS * 8);
  readonly iov = new Int32Array(IOV_WORDS * 8);
  tick(nOps: number): number {
    for (let i = 0; i < nOps; i++) this.cq.set([this.sq[(i + 1) * SQ_WORDS - 1]!, 0], i * CQ_WORDS);
    return nOps;
  }
  run(): void {}
  attach(): void {}
  detach(): void {}
  wake(): void {}
  close(): void {}
}

describe('a brick that throws where no wire sees it', () => {
  let kit: BrickKit<Faulty>;
  let threw: string[];

  beforeEach(async () => {
    kit = new BrickKit(Faulty);
    await kit.open();
    kit.loop.useRing(new RingQueue(new EagerRing()));
    threw = [];
    kit.graph.onEvent((event) => event.kind === 'threw' && threw.push(`${event.brick}: ${event.message}`));
  });

  async function flushWith(where: Place): Promise<number> {
    kit.brick.where = where;
    const { err } = await kit.answerOf({ op: 'flush' });
    await kit.runFor(5);
    return err;
  }

  async function isOffForGood(): Promise<void> {
    assert.deepEqual(threw, ['brick: faulty']);
    assert.equal((await kit.answerOf({ op: 'flush' })).err, -ESHUTDOWN);
    await kit.settle(kit.graph.release('probe'));
    assert.deepEqual([kit.brick.power.led, kit.brick.stops], ['off', 1]);
    await assert.rejects(kit.settle(kit.graph.press('brick')), { code: 'POWER_FORCED_OFF' });
    await kit.close();
  }

  for (const where of ['endBatch', 'timer of its own'] as const) {
    it(`in ${where}: it goes off for good, and nothing else stops`, async () => {
      assert.equal(await flushWith(where), 0);
      await isOffForGood();
    });
  }

  for (const where of ['timer', 'ring'] as const) {
    it(`in a callback of the ${where}: the request that it worked on is answered ENOTRECOVERABLE`, async () => {
      assert.equal(await flushWith(where), -ENOTRECOVERABLE);
      await isOffForGood();
    });

    it(`in a callback of the ${where} after it passed the request on: the answer from below counts`, async () => {
      kit.brick.passesOnFirst = true;
      assert.equal(await flushWith(where), 0);
      await isOffForGood();
    });
  }

  it('while it holds a request of its own: that ends, so it can go off', async () => {
    kit.brick.sendOne();
    kit.run();
    assert.equal(kit.brick.keeps!.slot >= 0, true);
    assert.equal(kit.brick.objects, 1);
    await kit.runFor(5);
    assert.equal(kit.brick.objects, 0);
    await isOffForGood();
  });

  it('lets the other batches of the same tick have their turn', async () => {
    let turns = 0;
    for (const rank of [0, 1, 2])
      kit.loop.plug({
        rank,
        plugged: false,
        endBatch: () => void turns++,
      });
    kit.brick.where = 'endBatch';
    kit.flush();
    assert.equal(turns, 3);
    await isOffForGood();
  });

  it('in a timer that comes when it is off: it is not stopped a second time', async () => {
    kit.brick.failIn(20);
    await kit.settle(kit.graph.release('probe'));
    await kit.settle(kit.graph.release('brick'));
    await kit.runFor(30);
    assert.deepEqual([threw, kit.brick.power.led, kit.brick.stops], [['brick: faulty'], 'off', 1]);
    await assert.rejects(kit.settle(kit.graph.press('brick')), { code: 'POWER_FORCED_OFF' });
    await kit.close();
  });

  // From here on the process would have stopped: what the kit holds is given up.
  for (const where of ['timer of nobody', 'ring helper'] as const) {
    it(`in a callback of which nobody knows the owner (${where}): the error reaches the process`, async () => {
      kit.brick.where = where;
      await assert.rejects(async () => {
        kit.flush();
        await kit.runFor(5);
      }, /^Error: faulty$/);
      assert.deepEqual(threw, []);
    });
  }

  for (const where of ['endBatch', 'timer', 'timer of its own', 'ring'] as const) {
    it(`a failed invariant in ${where} is never caught`, async () => {
      kit.brick.where = where;
      kit.brick.breaksInvariant = true;
      await assert.rejects(async () => {
        kit.flush();
        await kit.runFor(5);
      }, InvariantError);
      assert.deepEqual(threw, []);
    });
  }
});

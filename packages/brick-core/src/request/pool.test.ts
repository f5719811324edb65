import assert from 'node:assert/strict';
import { InvariantError } from '../invariant.js';
import { MAX_STACK_DEPTH } from '../limits.js';
import { ARENA_PAGE, DebugArena } from './arena.js';
import { XioPool } from './pool.js';
import { DOWN, type Completer, type ReturnStep, type XioObject } from './xio-object.js';

const step = (complete: (o: XioObject) => void = () => {}): ReturnStep & { inflight: number } => ({
  inflight: 0,
  completer: null,
  wire: null,
  complete,
});
const nobody: Completer = { inflight: 0, complete: () => {} };

describe('XioPool', () => {
  let arena: DebugArena;
  let pool: XioPool;
  const me = { objects: 0 };
  beforeEach(() => {
    arena = new DebugArena(new ArrayBuffer(16 * ARENA_PAGE));
    pool = new XioPool(arena, 4);
    me.objects = 0;
  });
  const take = (bytes = 0): XioObject => pool.take(me, bytes)!;
  /** As if wires had passed it down through these steps, and the provider had answered. */
  const answered = (o: XioObject, ...steps: ReturnStep[]): XioObject => {
    for (const s of steps) o.addStep(s);
    o.state = DOWN;
    o.markFinished(0);
    return o;
  };

  it('is back-pressure when objects or memory run out, and nothing is lost by it', () => {
    const all = [take(), take(), take(), take()];
    assert.equal(pool.take(me, 0), null);
    assert.equal(pool.available, 0);
    for (const o of all) pool.free(o);
    assert.notEqual(pool.take(me, ARENA_PAGE * 7), null);
    assert.equal(pool.take(me, ARENA_PAGE * 15), null);
    assert.equal(pool.available, 3, 'an object without memory stays in the pool');
  });

  it('gives every request fresh fields and a new generation', () => {
    const o = take(10);
    const { generation } = o;
    o.op = o.flags = o.prio = o.len = 5;
    o.pos = o.deadlineUs = 7;
    o.err = -5;
    pool.free(o);
    const again = take();
    assert.equal(again, o);
    assert.deepEqual(
      [again.op, again.flags, again.prio, again.len, again.pos, again.deadlineUs, again.err, again.buf],
      [0, 0, 0, 0, 0, 0, 0, -1],
    );
    assert.equal(again.generation, generation + 1);
  });

  it('counts what an owner holds, and lists what is out', () => {
    const o = take();
    assert.equal(me.objects, 1);
    assert.deepEqual(
      pool.outstanding().map((x) => x.slot),
      [o.slot],
    );
    pool.free(o);
    assert.deepEqual([me.objects, pool.outstanding().length], [0, 0]);
  });

  it('keeps payload and object until the last reference goes', () => {
    const o = take(100);
    o.retain();
    o.retain();
    pool.free(o);
    assert.equal(me.objects, 0, 'it is not charged to its consumer any more');
    assert.equal(pool.available, 3);
    assert.equal(arena.leaks().length, 1);
    o.unretain();
    assert.equal(pool.outstanding().length, 1);
    o.unretain();
    assert.deepEqual([pool.available, arena.leaks().length], [4, 0]);
    assert.throws(() => o.unretain(), InvariantError);
    assert.throws(() => o.retain(), InvariantError);
  });

  it('keeps the memory that a retained request leans on', () => {
    const parent = take(100);
    const child = take();
    child.buf = parent.buf;
    child.leanOn(parent);
    child.leanOn(parent);
    assert.equal(parent.refs, 1, 'leaning twice on the same one counts once');
    child.retain();
    pool.free(child);
    pool.free(parent);
    assert.equal(arena.leaks().length, 1);
    child.unretain();
    assert.deepEqual([pool.available, arena.leaks().length], [4, 0]);
  });

  it('releases a block that was lent to a retained request together with it', () => {
    const o = take(100);
    const block = arena.alloc(50);
    assert.throws(() => o.lend(block), InvariantError);
    o.retain();
    o.lend(block);
    pool.free(o);
    assert.equal(arena.leaks().length, 2);
    o.unretain();
    assert.equal(arena.leaks().length, 0);
  });

  it('refuses to free what is under way, in a queue, free already, or still waited for', () => {
    const down = take();
    down.state = DOWN;
    assert.throws(() => pool.free(down), /under way/);
    const queued = take();
    queued.link = down;
    assert.throws(() => pool.free(queued), /in a queue/);
    const twice = take();
    pool.free(twice);
    assert.throws(() => pool.free(twice), /already free/);
    const deep = take();
    deep.addStep(step());
    deep.addStep(step());
    assert.throws(() => pool.free(deep), /completers still wait/);
  });

  it('delivers through the steps in reverse order and counts each one down', () => {
    const seen: string[] = [];
    const base = step((o) => {
      seen.push(`base ${o.err}`);
      pool.free(o);
    });
    const filter = step((o) => {
      seen.push(`filter ${o.err}`);
      o.done(-5);
    });
    answered(take(), base, filter).deliver();
    assert.deepEqual(seen, ['filter 0', 'base -5']);
    assert.deepEqual([base.inflight, filter.inflight, pool.available], [0, 0, 4]);
  });

  it('finds every way to answer a request twice', () => {
    const o = answered(take(), step(), step());
    assert.throws(() => o.markFinished(0), /answered twice/);
    o.deliver();
    assert.throws(() => o.deliver(), InvariantError);
    o.done(0);
    assert.throws(() => o.done(0), /by the one who took the request/);
  });

  it('finds a brick that answers after it pushed itself, or pushes itself twice', () => {
    const o = take();
    o.push(nobody);
    assert.throws(() => o.push(nobody), /push\(\) twice/);
    o.state = DOWN;
    assert.throws(() => o.markFinished(0), /not both/);
  });

  it('gives a filter its request back for another round', () => {
    const own = step();
    const o = answered(take(), step(), own);
    o.deliver();
    o.takeBack();
    assert.deepEqual([own.inflight, o.depth, o.state], [0, 1, DOWN]);
    assert.throws(() => o.takeBack(), InvariantError);
  });

  it('does not let a consumer issue a request again whose payload is retained', () => {
    const o = answered(take(10), step());
    o.deliver();
    o.retain();
    assert.throws(() => o.reissue(), /still retains its payload/);
  });

  it('bounds the way back', () => {
    const o = take();
    for (let i = 0; i < MAX_STACK_DEPTH; i++) o.addStep(step());
    assert.throws(() => o.addStep(step()), /deeper than MAX_STACK_DEPTH/);
  });

  it('forgets the aspects of a dead brick', () => {
    pool.reserveSlots(3);
    const o = take();
    assert.equal(o.aspects.length, 3);
    o.aspects[1] = 'mine';
    pool.sweepSlot(1);
    assert.equal(o.aspects[1], undefined);
    pool.sweepSlot(99);
    assert.equal(o.aspects.length, 3);
  });
});

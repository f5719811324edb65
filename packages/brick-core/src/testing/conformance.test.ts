import assert from 'node:assert/strict';
import Mocha from 'mocha';
import { BrickBase } from '../brick/brick-base.js';
import { FilterBrick } from '../brick/filter-brick.js';
import { Brick, type BrickClass } from '../brick/meta.js';
import type { Graph } from '../graph/graph.js';
import { PASS, TransformBrick } from '../brick/transform-brick.js';
import type { XioInfo } from '../request/info.js';
import { OP_FLUSH, OP_READ, OP_WRITE } from '../request/ops.js';
import type { XioObject } from '../request/xio-object.js';
import { describeBrickConformance } from './conformance.js';
import { useBrickKit, useStackKit, type KitOptions } from './kit.js';

/** Looks at every request and hands it on: what a filter should be. */
@Brick({ type: 'test-good', inputs: { next: {} }, ops: 'all' })
class GoodFilter extends FilterBrick {
  override io(o: XioObject): void {
    o.push(this);
    this.next.io(o);
  }
}

/** Shifts positions by one block and keeps the contract. */
@Brick({ type: 'test-shift', inputs: { next: {} } })
class ShiftFilter extends TransformBrick {
  override info(into: XioInfo): number {
    const err = super.info(into);
    into.size -= 4096;
    return err;
  }

  protected override down(o: XioObject): number {
    if (o.op !== OP_FLUSH) o.pos += 4096;
    return PASS;
  }
}

describe('the conformance suite', () => {
  describe('passes', () => {
    describe('an observer', () => describeBrickConformance(useBrickKit(GoodFilter)));
    describe('a transforming filter', () => describeBrickConformance(useBrickKit(ShiftFilter)));
  });

  describe('passes a whole stack', () => {
    const build = (graph: Graph, disk: string): string => {
      graph.add('shift', 'test-shift');
      graph.connect({ consumer: 'shift', input: 'next', nr: 0 }, disk);
      graph.add('look', 'test-good');
      graph.connect({ consumer: 'look', input: 'next', nr: 0 }, 'shift');
      return 'look';
    };
    describeBrickConformance(useStackKit('observer over shift', build, { bricks: [GoodFilter, ShiftFilter] }));
  });

  // A test of the tests: every brick here breaks one rule on purpose, and the suite must catch it.
  describe('catches a brick that', () => {
    @Brick({ type: 'test-bad', inputs: { next: {} }, ops: 'all' })
    class Swallower extends GoodFilter {
      private n = 0;
      override complete(o: XioObject): void {
        if (++this.n % 50 !== 0) o.done(o.err);
      }
    }
    catches('swallows a completion', Swallower);

    @Brick({ type: 'test-bad', inputs: { next: {} }, ops: 'all' })
    class Doubler extends GoodFilter {
      override complete(o: XioObject): void {
        o.done(o.err);
        o.done(o.err);
      }
    }
    catches('hands on twice', Doubler);

    @Brick({ type: 'test-bad', inputs: { next: {} }, ops: 'all' })
    class Hider extends GoodFilter {
      override complete(o: XioObject): void {
        o.done(0);
      }
    }
    catches('hides an error of its provider', Hider);

    @Brick({ type: 'test-bad', inputs: { next: {} } })
    class Mover extends FilterBrick {
      override io(o: XioObject): void {
        if (o.op === OP_READ && o.pos >= 512) o.pos -= 512;
        this.next.io(o);
      }
    }
    catches('changes a request and does not restore it', Mover);

    @Brick({ type: 'test-bad', inputs: { next: {} } })
    class Scribbler extends FilterBrick {
      override io(o: XioObject): void {
        if (o.op === OP_WRITE) this.ctx.mem.u8[o.buf]! ^= 1;
        this.next.io(o);
      }
    }
    catches('changes the payload of a write in place', Scribbler);

    @Brick({ type: 'test-bad', inputs: { next: {} }, ops: 'all' })
    class Liar extends FilterBrick {
      override info(into: XioInfo): number {
        const err = super.info(into);
        into.zero = 2;
        return err;
      }
    }
    catches('advertises an operation that it does not have', Liar, { disk: { zero: 0 } });

    @Brick({ type: 'test-bad', inputs: { next: {} } })
    class Boaster extends FilterBrick {
      override info(into: XioInfo): number {
        const err = super.info(into);
        into.size += 4096;
        return err;
      }
    }
    catches('claims to be larger than it is', Boaster);

    @Brick({ type: 'test-bad', inputs: { next: {} } })
    class FlushEater extends FilterBrick {
      override io(o: XioObject): void {
        if (o.op === OP_FLUSH) this.ctx.loop.finish(o, 0);
        else this.next.io(o);
      }
    }
    catches('answers a flush by itself', FlushEater);

    @Brick({ type: 'test-bad', inputs: { next: {} }, ops: 'all' })
    class Allocator extends GoodFilter {
      trash: unknown = null;
      override complete(o: XioObject): void {
        this.trash = { pos: o.pos, len: o.len };
        o.done(o.err);
      }
    }
    catches('allocates per request', Allocator);

    @Brick({ type: 'test-bad', inputs: { next: {} }, ops: 'all' })
    class Leaker extends GoodFilter {
      override io(o: XioObject): void {
        if (o.op === OP_FLUSH) this.ctx.mem.alloc(512);
        super.io(o);
      }
    }
    catches('leaks arena memory', Leaker);

    @Brick({ type: 'test-bad', inputs: { next: {} }, ops: 'all' })
    class Thrower extends GoodFilter {
      override complete(o: XioObject): void {
        if (o.op === OP_FLUSH) throw new Error('on the data path');
        o.done(o.err);
      }
    }
    catches('throws on the data path', Thrower);

    @Brick({ type: 'test-bad', ops: 'all' })
    class Reentrant extends BrickBase {
      info(into: XioInfo): number {
        into.size = 2 ** 20;
        return 0;
      }
      io(o: XioObject): void {
        this.ctx.loop.finish(o, 0);
        this.ctx.loop.finish(o, 0);
      }
    }
    catches('answers twice', Reentrant);
  });
});

function catches(what: string, cls: BrickClass, kit: KitOptions = {}): void {
  it(what, async function () {
    this.timeout(60_000);
    const failures = await failuresOf(() => describeBrickConformance(useBrickKit(cls, {}, kit), { requests: 200 }));
    assert.ok(failures.length > 0, 'the suite did not notice');
  });
}

/** Runs a suite in a Mocha of its own and returns the titles of the tests that failed. */
async function failuresOf(define: () => void): Promise<string[]> {
  const inner = new Mocha({ reporter: class {} as never });
  const outer = globalThis as unknown as Record<string, unknown>;
  const names = ['describe', 'it', 'before', 'after', 'beforeEach', 'afterEach'];
  const kept = Object.fromEntries(names.map((name) => [name, outer[name]]));
  const context: Record<string, unknown> = {};
  inner.suite.emit('pre-require', context, '', inner);
  try {
    for (const name of names) outer[name] = context[name];
    define();
  } finally {
    Object.assign(outer, kept);
  }
  return new Promise((resolve) => {
    const failures: string[] = [];
    const runner = inner.run(() => {
      inner.dispose();
      resolve(failures);
    });
    runner.on('fail', (test) => failures.push(test.fullTitle()));
  });
}

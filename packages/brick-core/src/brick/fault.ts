import { ENOTRECOVERABLE } from '../errno.js';
import type { Loop } from '../loop/loop.js';
import { DOWN, HELD, type XioObject } from '../request/xio-object.js';
import type { BrickBase } from './brick-base.js';
import type { Wire } from './wire.js';

/** Hears of bricks that threw, and switches them off; the graph is one. */
export interface FaultSink {
  /** Code of a brick threw, on the data path or in a callback. The brick should be forced off. */
  brickThrew(brick: BrickBase, error: unknown): void;
}

/**
 * Ends the request that a brick was working on when it threw. One that it passed on comes back by itself, and one that
 * stands in a queue may still be answered; but what the brick holds and has lost sight of, nobody else will ever answer.
 */
export function endAfterFault(brick: BrickBase, o: XioObject, loop: Loop): void {
  const wire = o.topStep?.wire as Wire | null | undefined;
  if (wire == null || o.link !== null) return;
  if (o.state === DOWN && wire.provider === brick) {
    o.takePushed();
    loop.finish(o, -ENOTRECOVERABLE);
  } else if (o.state === HELD && wire.consumer === brick) {
    o.takePushed();
    // The one who took the request is the one who threw: nobody is left to answer to, so its request ends here.
    if (o.depth > 1) o.done(-ENOTRECOVERABLE);
    else loop.pool.free(o);
  }
}

import { maskOps, type XioInfo } from '../request/info.js';
import type { Completer, XioObject } from '../request/xio-object.js';
import { BrickBase } from './brick-base.js';
import type { XioInput, XioOutput } from './contract.js';

/**
 * A brick with one input and one output that lets everything pass unless told otherwise. Override what you need:
 * `io` to act on the way down, `complete` (after `o.push(this)`) to act on the way up, `info` to tighten what is offered.
 *
 * `info` masks every operation that the type's `ops` does not list, so an operation that was invented after this filter
 * was written can never slip through it untransformed (bricks.md 5.7).
 */
export abstract class FilterBrick extends BrickBase implements XioOutput, Completer {
  /** The brick below: the first declared input. */
  protected readonly next!: XioInput;

  info(into: XioInfo): number {
    const err = this.next.info(into);
    if (err >= 0) maskOps(into, this.meta.ops);
    return err;
  }

  io(o: XioObject): void {
    this.next.io(o);
  }

  complete(o: XioObject): void {
    o.done(o.err);
  }
}

/** Gives a filter its `next`. Called once, by the graph. */
export function bindNext(brick: FilterBrick, next: XioInput): void {
  (brick as unknown as { next: XioInput }).next = next;
}

import { Brick, FilterBrick, type Counter, type XioObject } from '@mars/brick-core';

/** Says what it does, in one sentence: counts the requests that pass, and hands them on. */
@Brick({
  type: '{{TYPE}}',
  about: 'Counts the requests that pass.',
  inputs: { next: {} },
  ops: 'all', // true for observers only; a filter that changes requests lists the operations that it understands
  params: { type: 'object', properties: {} },
})
export class {{CLASS}} extends FilterBrick {
  private requests!: Counter;
  private failed!: Counter;

  protected override attached(): void {
    this.requests = this.ctx.counter('requests');
    this.failed = this.ctx.counter('failed');
  }

  override io(o: XioObject): void {
    this.requests.n++;
    o.push(this); // I want to see the answer
    this.next.io(o); // pass it on, exactly once
  }

  override complete(o: XioObject): void {
    if (o.err < 0) this.failed.n++;
    o.done(o.err); // hand the answer on, exactly once
  }
}

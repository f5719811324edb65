import { Brick, FilterBrick, type Counter, type XioObject } from '@mars/brick-core';

/** Lets everything pass and counts it: the template to copy. "Write a brick in ten minutes" walks through it. */
@Brick({
  type: 'dummy', // yours: '@acme/dummy' becomes 'acme/dummy'; core names are bare
  about: 'Lets everything pass; the template for your own filter.',
  inputs: { next: {} }, // the brick below; it becomes this.next
  ops: 'all', // only because nothing is changed: otherwise list what you understand, the rest is masked for you
  params: { properties: { quiet: { type: 'boolean', default: false, about: 'do not count' } } },
  live: ['quiet'], // may change while the brick is on
})
export class DummyBrick extends FilterBrick {
  private requests!: Counter;
  private errors!: Counter;

  protected override attached(): void {
    this.requests = this.ctx.counter('requests'); // shown by `mars-stack ctl`; name it once, never per request
    this.errors = this.ctx.counter('errors');
  }

  /** The way down. Hot path: no promise, closure, allocation, exception or log line here or in complete(). */
  override io(o: XioObject): void {
    if (!this.ctx.params.quiet) this.requests.n++;
    o.push(this); // "I want to see the answer"; leave it out and complete() is not called
    this.next.io(o); // exactly once; to answer by yourself instead: this.ctx.loop.finish(o, err), without push
  }

  /** The way up: `o.err` is 0 or a negative errno. The request is yours until you hand it on. */
  override complete(o: XioObject): void {
    if (o.err < 0 && !this.ctx.params.quiet) this.errors.n++;
    o.done(o.err); // always: a swallowed completion hangs the one who waits above
  }
}

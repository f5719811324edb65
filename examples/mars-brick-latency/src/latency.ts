import { Brick, FilterBrick, OP_WRITE, type Counter, type Histogram, type XioObject } from '@mars/brick-core';

/** Private state of this brick for one request ("aspect"). */
class Stamp {
  startUs = 0.5; // a fraction, so that the field holds doubles from the beginning
}

/** Measures how long requests take below it, reads and writes apart, and counts the slow ones. Changes nothing. */
@Brick({
  type: 'acme/latency',
  about: 'Measures how long requests take below it.',
  inputs: { next: { about: 'what is measured' } },
  ops: 'all', // a pure observer: every operation may pass
  params: {
    type: 'object',
    properties: { slow: { unit: 'ms', default: '50ms', about: 'Requests that take longer are counted as slow.' } },
  },
  live: ['slow'],
})
export class LatencyBrick extends FilterBrick {
  private readUs!: Histogram;
  private writeUs!: Histogram;
  private slow!: Counter;
  private slowUs = 0;

  protected override attached(): void {
    this.readUs = this.ctx.histogram('read_us');
    this.writeUs = this.ctx.histogram('write_us');
    this.slow = this.ctx.counter('slow');
    this.slowUs = this.ctx.params.slow * 1000;
  }

  protected override liveParam(): void {
    this.slowUs = this.ctx.params.slow * 1000;
  }

  override io(o: XioObject): void {
    const stamp = (o.aspects[this.ctx.slot] ??= new Stamp()) as Stamp; // allocated once per pooled request
    stamp.startUs = this.ctx.loop.nowUs;
    o.push(this); // I want to see the completion
    this.next.io(o);
  }

  override complete(o: XioObject): void {
    const us = this.ctx.loop.nowUs - (o.aspects[this.ctx.slot] as Stamp).startUs;
    (o.op === OP_WRITE ? this.writeUs : this.readUs).add(us);
    if (us > this.slowUs) this.slow.n++;
    o.done(o.err); // hand on to whoever waits next
  }
}

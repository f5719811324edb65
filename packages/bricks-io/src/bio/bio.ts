import {
  Brick,
  ErrorCode,
  FILES,
  MarsError,
  OP_READ,
  OP_WRITE,
  PRIO_LOW,
  inject,
  RequestQueue,
  type Counter,
  type Files,
  type OpenFile,
  type XioObject,
} from '@mars/brick-core';
import type { EndOptions } from '../end/open-end.js';
import { RingEnd } from '../end/ring-end.js';

/**
 * A block device without page cache, opened exclusively: the data disk of a resource.
 *
 * Requests of low priority (sync, background writeback) wait while the device has other work: at most `bgThreshold`
 * requests of higher priority may be under way when one starts, and at most `bgMaxFly` of them run at a time.
 * Source: bricks.md 3.3.
 */
@Brick({
  type: 'bio',
  about: 'A block device past the page cache, opened exclusively.',
  ops: ['read', 'write', 'flush', 'trim', 'zero', 'extents', 'cache'],
  caps: ['WRITE', 'FLUSH', 'TRIM', 'FAST_ZERO', 'EXTENTS', 'WHOLE', 'ORDERED'],
  params: {
    type: 'object',
    required: ['path'],
    properties: {
      path: { type: 'string', minLength: 1, about: 'Block device.' },
      direct: { type: 'boolean', default: true, about: 'Bypass the page cache (O_DIRECT).' },
      readonly: { type: 'boolean', default: false, about: 'Refuse every change.' },
      sync: { type: 'boolean', default: true, about: 'A flush makes data durable. Off: for throw-away data only.' },
      bgThreshold: {
        type: 'integer',
        default: 0,
        minimum: 0,
        about: 'Other requests that may run while low priority starts.',
      },
      bgMaxFly: { type: 'integer', default: 0, minimum: 0, about: 'Low-priority requests at a time; 0 = no limit.' },
    },
  },
  live: ['bgThreshold', 'bgMaxFly'],
})
export class BioBrick extends RingEnd {
  private readonly background = new RequestQueue();
  private flying = 0;
  private flyingLow = 0;
  private feeding = false;
  private delayed!: Counter;

  constructor(@inject(FILES) files: Files) {
    super(files);
  }

  protected override attached(): void {
    super.attached();
    this.delayed = this.ctx.counter('background_delayed');
  }

  protected override endOptions(): EndOptions {
    const { path, direct, readonly, sync } = this.ctx.params;
    return {
      path: path as string,
      create: false,
      direct: direct as boolean,
      readonly: readonly as boolean,
      exclusive: true,
      mayGrow: false,
      sync: sync ? 'fdatasync' : 'none',
      newSizeBytes: 0,
    };
  }

  protected override checkFile(file: OpenFile): void {
    if (file.isBlockDevice) return;
    throw new MarsError(ErrorCode.NOT_A_BLOCK_DEVICE, `${file.path} is no block device`, {
      hint: 'Name a device like /dev/vg0/lv-1, or use the type "aio" for a file.',
    });
  }

  override io(o: XioObject): void {
    if (!isTransfer(o)) return super.io(o);
    if (o.prio === PRIO_LOW) {
      if (!this.mayStartLow()) this.delayed.n++;
      this.background.push(o);
      return this.startBackground();
    }
    this.flying++;
    super.io(o);
  }

  override get busy(): boolean {
    return super.busy || this.background.length > 0;
  }

  protected override answer(o: XioObject, err: number): void {
    if (isTransfer(o)) {
      if (o.prio === PRIO_LOW) this.flyingLow--;
      else this.flying--;
    }
    super.answer(o, err);
    this.startBackground();
  }

  /** What is answered at once calls this again from inside; the loop then goes on, instead of the call going deeper. */
  private startBackground(): void {
    if (this.feeding) return;
    this.feeding = true;
    while (this.background.length > 0 && this.mayStartLow()) {
      this.flyingLow++;
      super.io(this.background.shift()!);
    }
    this.feeding = false;
  }

  private mayStartLow(): boolean {
    const { bgThreshold, bgMaxFly } = this.ctx.params;
    return this.flying <= bgThreshold && (bgMaxFly === 0 || this.flyingLow < bgMaxFly);
  }
}

function isTransfer(o: XioObject): boolean {
  return o.op === OP_READ || o.op === OP_WRITE;
}

import { Brick, FILES, OP_READ, inject, RequestQueue, type Files, type XioObject } from '@mars/brick-core';
import type { EndOptions, SyncMode } from '../end/open-end.js';
import { RingEnd } from '../end/ring-end.js';
import { SIO_MAX_READS } from '../limits.js';

/**
 * A file with strict order: one change at a time, in the order of arrival; up to 16 reads beside it. Slower than `aio`,
 * for file systems and devices that do badly with many requests at once. Makes a missing file.
 * Source: bricks.md 3.2.
 */
@Brick({
  type: 'sio',
  about: 'A file in strict order: one write at a time.',
  ops: ['read', 'write', 'flush', 'trim', 'zero', 'extents', 'cache'],
  caps: ['WRITE', 'FLUSH', 'TRIM', 'FAST_ZERO', 'EXTENTS', 'GROW', 'WHOLE', 'ORDERED'],
  params: {
    type: 'object',
    required: ['path'],
    properties: {
      path: { type: 'string', minLength: 1, about: 'File or device.' },
      size: { unit: 'bytes', default: 0, minimum: 0, about: 'Size of a file that is made new.' },
      direct: { type: 'boolean', default: false, about: 'Bypass the page cache (O_DIRECT).' },
      grow: { type: 'boolean', default: true, about: 'Writes may start at or beyond the end of a file.' },
      readonly: { type: 'boolean', default: false, about: 'Refuse every change.' },
      sync: { type: 'string', enum: ['fdatasync', 'fsync', 'none'], default: 'fdatasync', about: 'What a flush does.' },
    },
  },
})
export class SioBrick extends RingEnd {
  private readonly changes = new RequestQueue();
  private readonly reads = new RequestQueue();
  private changing = false;
  private reading = 0;
  private feeding = false;

  constructor(@inject(FILES) files: Files) {
    super(files);
  }

  protected override endOptions(): EndOptions {
    const { path, size, direct, grow, readonly, sync } = this.ctx.params;
    return {
      path: path as string,
      create: !(readonly as boolean),
      direct: direct as boolean,
      readonly: readonly as boolean,
      exclusive: false,
      mayGrow: grow as boolean,
      sync: sync as SyncMode,
      newSizeBytes: size as number,
    };
  }

  override io(o: XioObject): void {
    (isRead(o) ? this.reads : this.changes).push(o);
    this.startNext();
  }

  override get busy(): boolean {
    return super.busy || this.changes.length > 0 || this.reads.length > 0;
  }

  protected override answer(o: XioObject, err: number): void {
    if (isRead(o)) this.reading--;
    else this.changing = false;
    super.answer(o, err);
    this.startNext();
  }

  /** What is answered at once calls this again from inside; the loop then goes on, instead of the call going deeper. */
  private startNext(): void {
    if (this.feeding) return;
    this.feeding = true;
    for (let o = this.nextInTurn(); o !== null; o = this.nextInTurn()) super.io(o);
    this.feeding = false;
  }

  private nextInTurn(): XioObject | null {
    if (this.reads.length > 0 && this.reading < SIO_MAX_READS) {
      this.reading++;
      return this.reads.shift();
    }
    if (this.changing || this.changes.length === 0) return null;
    this.changing = true;
    return this.changes.shift();
  }
}

function isRead(o: XioObject): boolean {
  return o.op === OP_READ;
}

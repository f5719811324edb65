/**
 * A piece of a logfile in memory that slides towards the end of the file, so that a log of any size is read
 * with bounded memory although records cross the borders of whatever was read.
 *
 * ```text
 *  file   … | consumed | from `at` on: still needed | room …
 *           base       base + at                    base + filled        base + capacity
 * ```
 */

import { invariant } from '@mars/brick-core';
import { MAX_TOTAL_LEN, areaOf } from './layout.js';
import type { LogArea } from './layout.js';

/** Default memory of one window. Large enough that sliding costs little, small enough for the second-level cache. */
export const WINDOW_BYTES = 256 * 1024;
/** A window must hold a record and something to read behind it. */
export const WINDOW_BYTES_MIN = 2 * (MAX_TOTAL_LEN + 1);

/**
 * Reads file bytes from offset `pos` into `bytes[at, at + len)`. May deliver less.
 *
 * @returns number of bytes read; 0 means end of file
 */
export type ReadChunk = (pos: number, bytes: Uint8Array, at: number, len: number) => number | Promise<number>;
export type ReadChunkSync = (pos: number, bytes: Uint8Array, at: number, len: number) => number;

export class LogWindow {
  readonly area: LogArea;
  /** File offset of the first byte of the window. */
  base: number;
  /** Bytes that are there. */
  filled = 0;
  /** The next byte to look at, relative to `base`. */
  at = 0;
  private eof = false;

  /**
   * @param from  file offset to start at
   * @param to    exclusive end of what may be used; the end of the file counts where it comes first
   */
  constructor(
    from: number,
    private to: number = Number.MAX_SAFE_INTEGER,
    windowBytes: number = WINDOW_BYTES,
  ) {
    invariant(windowBytes >= WINDOW_BYTES_MIN, 'window smaller than two records');
    invariant(from >= 0, 'start of a range is negative');
    this.area = areaOf(new Uint8Array(windowBytes));
    this.base = from;
  }

  /** File offset of the next byte. */
  get offset(): number {
    return this.base + this.at;
  }

  /** File offset that a read has to start at. */
  get readPos(): number {
    return this.base + this.filled;
  }

  /** Everything up to the end is in memory. */
  get isComplete(): boolean {
    return this.eof || this.readPos >= this.to;
  }

  /** Bytes from `at` on that may be used now. */
  get available(): number {
    return this.filled - this.at;
  }

  /** True if a whole record, if there is one, is in memory. */
  get holdsRecord(): boolean {
    return this.available >= MAX_TOTAL_LEN || this.isComplete;
  }

  /** Where the usable bytes end: the end of the file or of the range. Known once `isComplete`. */
  get end(): number {
    return this.readPos;
  }

  /** Gives up the bytes in front of `at` and tells how many can be read now, at `area[filled, …)` from `readPos`. */
  makeRoom(): number {
    if (this.at > 0) {
      this.area.bytes.copyWithin(0, this.at, this.filled);
      this.base += this.at;
      this.filled -= this.at;
      this.at = 0;
    }
    return Math.min(this.area.bytes.length - this.filled, this.to - this.readPos);
  }

  /** A read has delivered `n` bytes. */
  took(n: number): void {
    invariant(n >= 0 && this.filled + n <= this.area.bytes.length, 'a read delivered more than was asked for');
    if (n === 0) this.eof = true;
    this.filled += n;
  }
}

/** Something that works on a window and stops when it needs more of the file. */
export interface WindowWork {
  readonly window: LogWindow;
  /** Goes on until more bytes are needed (`'read'`) or everything is said (`'done'`). */
  run(): 'read' | 'done';
}

export async function drive(work: WindowWork, read: ReadChunk): Promise<void> {
  while (work.run() === 'read') {
    const w = work.window;
    const len = w.makeRoom();
    w.took(await read(w.readPos, w.area.bytes, w.filled, len));
  }
}

export function driveSync(work: WindowWork, read: ReadChunkSync): void {
  while (work.run() === 'read') {
    const w = work.window;
    const len = w.makeRoom();
    w.took(read(w.readPos, w.area.bytes, w.filled, len));
  }
}

import { fdatasync, fsync } from 'node:fs';
import { invariant } from '@mars/brick-core';
import { errnoOf } from '../errors.js';
import type { Answer } from './thread-sockets.js';

/** One operation under way in the fallback ring: pooled, with its callbacks prepared once. */
export class ThreadOp {
  tag = 0;
  fd = -1;
  /** Set while the operation can be taken back: by closing a timer, or by its socket. */
  timer: NodeJS.Timeout | null = null;
  withdraw: ((answer: Answer) => boolean) | null = null;
  /** How a write becomes durable before it is answered. */
  sync: 'none' | 'data' | 'all' = 'none';
  /** What such a write has written, until its sync ends. */
  private written = 0;
  private active = false;

  constructor(private readonly done: (op: ThreadOp, result: number) => void) {}

  /** For `fs.read` and `fs.readv`. */
  readonly onBytes = (error: NodeJS.ErrnoException | null, bytes: number): void => {
    this.answer(error ? -errnoOf(error) : bytes);
  };

  /** For `fs.write` and `fs.writev`, which may have to be durable. */
  readonly onWritten = (error: NodeJS.ErrnoException | null, bytes: number): void => {
    if (error || this.sync === 'none') return this.onBytes(error, bytes);
    this.written = bytes;
    if (this.sync === 'all') fsync(this.fd, this.onStatus);
    else fdatasync(this.fd, this.onStatus);
  };

  /** For calls without a result; after a durable write it answers with what that had written. */
  readonly onStatus = (error: NodeJS.ErrnoException | null): void => {
    this.answer(error ? -errnoOf(error) : this.written);
  };

  readonly answer: Answer = (result) => {
    invariant(this.active, 'ring: an operation was answered twice');
    this.active = false;
    this.done(this, result);
  };

  reset(tag: number, fd: number): void {
    this.tag = tag;
    this.fd = fd;
    this.timer = null;
    this.withdraw = null;
    this.sync = 'none';
    this.written = 0;
    this.active = true;
  }
}

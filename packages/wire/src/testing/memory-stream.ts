import type { Clock, SecurePeer, SecureStream } from '@mars/brick-core';

/** A stream takes this much before it says no, bytes. */
const HIGH_WATER_BYTES = 16 * 1024;

/**
 * One end of a connection in memory; nothing moves before {@link MemoryLink.run}. `cut` draws the sizes of the pieces that arrive.
 */
export class MemoryStream implements SecureStream {
  readonly remote: string;
  readonly isEncrypted = true;
  peer: SecurePeer | null = null;
  other!: MemoryStream;
  /** Bytes on their way to us. */
  readonly incoming: Uint8Array[] = [];
  incomingBytes = 0;
  hasEnded = false;
  isClosed = false;
  isReading = true;
  wantsDrain = false;
  error: Error | undefined;
  readonly lent: (() => void)[] = [];
  private dataHandler: ((bytes: Uint8Array) => void) | null = null;
  private drainHandler: (() => void) | null = null;
  private closeHandler: ((error?: Error) => void) | null = null;

  constructor(remote: string) {
    this.remote = remote;
  }

  write(bytes: Uint8Array): boolean {
    if (this.isClosed || this.hasEnded) return false;
    this.other.incoming.push(new Uint8Array(bytes));
    this.other.incomingBytes += bytes.length;
    this.wantsDrain = this.other.incomingBytes >= HIGH_WATER_BYTES;
    return !this.wantsDrain;
  }

  writeOwned(bytes: Uint8Array, done?: () => void): boolean {
    const isGood = this.write(bytes);
    if (done !== undefined) this.lent.push(done);
    return isGood;
  }

  end(): void {
    this.hasEnded = true;
  }

  destroy(error?: Error): void {
    this.shut(error);
    this.other.error ??= new Error('connection reset');
    this.other.shut(this.other.error);
  }

  onData(handler: (bytes: Uint8Array) => void): void {
    this.dataHandler = handler;
  }

  onDrain(handler: () => void): void {
    this.drainHandler = handler;
  }

  onClose(handler: (error?: Error) => void): void {
    this.closeHandler = handler;
  }

  pause(): void {
    this.isReading = false;
  }

  resume(): void {
    this.isReading = true;
  }

  /** Moves one piece. @returns false when there is nothing to do */
  step(cut: (bytes: number) => number): boolean {
    for (const done of this.lent.splice(0)) done();
    if (this.isClosed) return false;
    if (this.isReading && this.dataHandler !== null && this.incoming.length > 0) {
      const first = this.incoming[0]!;
      const take = first.subarray(0, Math.max(1, Math.min(first.length, cut(first.length))));
      if (take.length >= first.length) this.incoming.shift();
      else this.incoming[0] = first.subarray(take.length);
      this.incomingBytes -= take.length;
      this.dataHandler(take);
      return true;
    }
    if (this.wantsDrain && this.other.incomingBytes === 0) {
      this.wantsDrain = false;
      this.drainHandler?.();
      return true;
    }
    if (this.other.hasEnded && this.incoming.length === 0) {
      this.shut(undefined);
      this.other.shut(undefined);
      return true;
    }
    return false;
  }

  private shut(error: Error | undefined): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.hasEnded = true;
    for (const done of this.lent.splice(0)) done();
    this.closeHandler?.(error);
  }
}

/** Two ends, and a clock that stands still until it is moved. */
export class MemoryLink {
  readonly a = new MemoryStream('host-b');
  readonly b = new MemoryStream('host-a');

  constructor(private readonly cut: (bytes: number) => number = (bytes) => bytes) {
    this.a.other = this.b;
    this.b.other = this.a;
  }

  /** Until nothing moves any more, promises included. */
  async run(): Promise<void> {
    for (let quiet = 0; quiet < 3;) {
      const moved = [this.a, this.b].filter((stream) => stream.step(this.cut)).length;
      quiet = moved > 0 ? 0 : quiet + 1;
      await Promise.resolve();
      for (let i = 0; moved === 0 && i < 20; i++) await Promise.resolve();
    }
  }
}

/** Time that moves only when told. */
export class ManualClock implements Clock {
  nowUs = 1_000_000;
  wallMs = 1_800_000_000_000;
  private timers: { dueUs: number; run: () => void }[] = [];

  wallNs(): bigint {
    return BigInt(this.wallMs) * 1_000_000n + BigInt(Math.round(this.nowUs)) * 1000n;
  }

  after<T>(delayMs: number, arg: T, fn: (arg: T) => void): void {
    this.timers.push({ dueUs: this.nowUs + delayMs * 1000, run: () => fn(arg) });
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, undefined, resolve));
  }

  advance(ms: number): void {
    const untilUs = this.nowUs + ms * 1000;
    for (;;) {
      const due = this.timers.filter(({ dueUs }) => dueUs <= untilUs).sort((x, y) => x.dueUs - y.dueUs)[0];
      if (due === undefined) break;
      this.timers.splice(this.timers.indexOf(due), 1);
      this.nowUs = due.dueUs;
      due.run();
    }
    this.nowUs = untilUs;
  }
}

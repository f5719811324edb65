import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

export type LogSinkOptions = { fd: number } | { path: string; maxBytes: number; keep: number };

/** Tries on a full pipe before a line is given up. */
const WRITE_TRIES = 10;

/** Where log lines end: a descriptor, or a file of bounded size with a bounded number of renamed predecessors. */
export class LogSink {
  private fd: number;
  private bytes = 0;
  private lost = 0;

  constructor(private readonly options: LogSinkOptions) {
    this.fd = 'fd' in options ? options.fd : this.open();
  }

  /** Lines that could not be written since the last one that could. */
  get lostLines(): number {
    return this.lost;
  }

  write(line: string): void {
    if (this.fd < 0) return;
    if ('path' in this.options && this.bytes > 0 && this.bytes + Buffer.byteLength(line) > this.options.maxBytes)
      this.rotate();
    if (this.lost > 0 && this.put(`{"level":"warn","linesLost":${this.lost},"msg":"log lines were lost"}\n`))
      this.lost = 0;
    if (!this.put(line)) this.lost++;
  }

  close(): void {
    if ('path' in this.options && this.fd >= 0) closeSync(this.fd);
    this.fd = -1;
  }

  private open(): number {
    const { path } = this.options as { path: string };
    const fd = openSync(path, 'a', 0o600);
    this.bytes = fstatSync(fd).size;
    return fd;
  }

  private put(text: string): boolean {
    const data = Buffer.from(text);
    let done = 0;
    for (let tries = 0; done < data.length && tries < WRITE_TRIES; tries++) {
      try {
        done += writeSync(this.fd, data, done);
      } catch (error) {
        // A pipe whose reader is slow (EAGAIN) gets another chance; everything else (ENOSPC, EPIPE) does not.
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return false;
      }
    }
    this.bytes += done;
    return done === data.length;
  }

  /** `x.log` becomes `x.log.1`, `.1` becomes `.2` …; the oldest is overwritten. */
  private rotate(): void {
    const { path, keep } = this.options as { path: string; keep: number };
    for (let n = keep - 1; n >= 0; n--) renameIfThere(n === 0 ? path : `${path}.${n}`, `${path}.${n + 1}`);
    try {
      const next = openSync(path, keep === 0 ? 'w' : 'a', 0o600);
      closeSync(this.fd);
      this.fd = next;
      this.bytes = fstatSync(next).size;
    } catch {
      this.bytes = 0; // no new file can be made: go on in the old one rather than lose lines
    }
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch {
    // Not there, or not renamable: the bound then holds for fewer predecessors.
  }
}

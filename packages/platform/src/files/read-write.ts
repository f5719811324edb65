import * as fs from 'node:fs';
import { promisify } from 'node:util';

const readAsync = promisify(fs.read);
const writeAsync = promisify(fs.write);

/** Reads until `into` is full or the file ends. @returns bytes read */
export async function readFully(fd: number, into: Uint8Array, posBytes: number): Promise<number> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await readAsync(fd, into, done, into.length - done, posBytes + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** Writes all of `from`, however many calls that takes. */
export async function writeFully(fd: number, from: Uint8Array, posBytes: number): Promise<void> {
  let done = 0;
  while (done < from.length) {
    const { bytesWritten } = await writeAsync(fd, from, done, from.length - done, posBytes + done);
    done += bytesWritten;
  }
}

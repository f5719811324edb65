import { closeSync, openSync } from 'node:fs';
import { describeRing, sandbox, type RingUnderTest, type Sandbox } from '../testing/index.js';
import { native } from '../native.js';
import { openRing, type RingKind } from './open-ring.js';

const ARENA_BYTES = 2 << 20;

describe('the ring of the thread pool', () => {
  const dir = sandbox();
  describeRing(() => makeRing('threads', dir, native !== null));
});

describe('the ring of io_uring', () => {
  const dir = sandbox();
  before(function () {
    const reason = whyNoIoUring();
    if (reason === '') return;
    console.log(`      skipped: ${reason}`);
    this.skip();
  });
  describeRing(() => makeRing('io_uring', dir, true));
});

function whyNoIoUring(): string {
  try {
    openRing({ ring: 'io_uring', arenaBytes: 8192, entries: 8 }).ring.close();
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

function makeRing(kind: RingKind, dir: Sandbox, canFallocate: boolean): RingUnderTest {
  const { ring, sockets } = openRing({ ring: kind, arenaBytes: ARENA_BYTES, entries: 256 });
  const fds: number[] = [];
  return {
    ring,
    sockets,
    canFallocate,
    newSocketPath: () => dir.file('s'),
    newFile: () => {
      fds.push(openSync(dir.file(), 'wx+'));
      return Promise.resolve(fds.at(-1)!);
    },
    turn: () => new Promise((resolve) => setImmediate(resolve)),
    close: () => {
      ring.close();
      for (const fd of fds) closeQuietly(fd);
      return Promise.resolve();
    },
  };
}

function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // a test closed it through the ring
  }
}

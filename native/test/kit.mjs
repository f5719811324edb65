// What the tests share: a ring with a tidy way to describe operations and to collect results by tag.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import native from '../index.cjs';

export const { OP, HASH, FLAG } = native;
export const EFAULT = -14;
export const EINVAL = -22;
export const ECANCELED = -125;
export const ETIME = -62;

/** Removes everything of one suite; call inside describe(). */
export function useTempDir() {
  const dir = { path: '' };
  before(() => (dir.path = fs.mkdtempSync(path.join(process.env.MARS_TEST_TMP ?? os.tmpdir(), 'mars-native-'))));
  after(() => fs.rmSync(dir.path, { recursive: true, force: true }));
  return dir;
}

export class Kit {
  constructor(options = {}) {
    this.ring = native.open({ entries: 64, arenaBytes: 4 << 20, ...options });
    this.bytes = Buffer.from(this.ring.arena);
    this.queued = 0;
    this.nextTag = 1;
    this.results = new Map();
  }

  /** Describes one operation and returns its tag. `off` is a number or bigint. */
  op(code, { fd = -1, buf = 0, len = 0, off = 0, flags = 0, tag = this.nextTag++ } = {}) {
    const wide = BigInt.asUintN(64, BigInt(off));
    const ints = [code, fd, buf, len, Number(wide & 0xffffffffn) | 0, Number(wide >> 32n) | 0, flags, tag];
    this.ring.sq.set(ints, this.queued++ * 8);
    return tag;
  }

  iov(index, ...spans) {
    spans.forEach(([offset, length], i) => this.ring.iov.set([offset, length], (index + i) * 2));
  }

  /** One tick; files its completions and returns how many there were. */
  tick(waitUs = 0) {
    const n = this.ring.tick(this.queued, waitUs);
    this.queued = 0;
    for (let i = 0; i < n; i++) {
      const tag = this.ring.cq[2 * i];
      assert.ok(!this.results.has(tag), `tag ${tag} completed twice`);
      this.results.set(tag, this.ring.cq[2 * i + 1]);
    }
    return n;
  }

  /** Ticks until all of `tags` have completed and returns their results. */
  wait(...tags) {
    for (let rounds = 0; tags.some((tag) => !this.results.has(tag)); rounds++) {
      assert.ok(rounds < 100_000, `operations ${tags} never completed`);
      this.tick(100_000);
    }
    return tags.map((tag) => this.take(tag));
  }

  take(tag) {
    const result = this.results.get(tag);
    this.results.delete(tag);
    return result;
  }

  /** One operation from description to result. */
  do(code, fields) {
    return this.wait(this.op(code, fields))[0];
  }

  close() {
    return this.ring.close();
  }
}

/** A Kit per test of this describe(). */
export function useKit(options) {
  const holder = {};
  beforeEach(() => (holder.kit = new Kit(options)));
  afterEach(() => holder.kit.close());
  return holder;
}

export const fdCount = () => fs.readdirSync('/proc/self/fd').length;

/** Descriptors of this process that are rings. */
export function ringCount() {
  return fs.readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`).includes('io_uring');
    } catch {
      return false; // the descriptor of the listing itself
    }
  }).length;
}

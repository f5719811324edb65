// Bare figures of the addon itself: node --expose-gc test/bench.mjs. No system under test but this host; compare only with itself.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import native from '../index.cjs';

const { OP, HASH, FLAG } = native;
const ring = native.open({ entries: 256, arenaBytes: 256 << 20 });
const rounds = 5;

/** Best and median of several rounds: the best is what the code can do, the median what this busy host let it do. */
function measure(name, unit, once) {
  const values = [];
  for (let i = 0; i < rounds; i++) values.push(once());
  values.sort((a, b) => a - b);
  const better = unit.startsWith('ns') ? values[0] : values[rounds - 1];
  console.log(
    `${name.padEnd(44)} best ${better.toFixed(2).padStart(9)} ${unit}   median ${values[rounds >> 1].toFixed(2)}`,
  );
}

function nsPer(count, work) {
  const start = process.hrtime.bigint();
  work(count);
  return Number(process.hrtime.bigint() - start) / count;
}

function fillOp(at, code, fd, buf, len, offset, flags, tag) {
  const sq = ring.sq;
  const o = at * 8;
  sq[o] = code;
  sq[o + 1] = fd;
  sq[o + 2] = buf;
  sq[o + 3] = len;
  sq[o + 4] = offset;
  sq[o + 5] = 0;
  sq[o + 6] = flags;
  sq[o + 7] = tag;
}

measure('empty tick', 'ns', () =>
  nsPer(2_000_000, (n) => {
    for (let i = 0; i < n; i++) ring.tick(0, 0);
  }),
);

measure('tick with 1 NOP, waiting', 'ns', () =>
  nsPer(200_000, (n) => {
    for (let i = 0; i < n; i++) {
      fillOp(0, OP.NOP, 0, 0, 0, 0, 0, i);
      ring.tick(1, -1);
    }
  }),
);

measure('tick with 32 NOPs, per op', 'ns', () =>
  nsPer(640_000, (n) => {
    for (let i = 0; i < n; i += 32) {
      for (let k = 0; k < 32; k++) fillOp(k, OP.NOP, 0, 0, 0, 0, 0, k);
      ring.tick(32, -1);
    }
  }),
);

measure('32 quiet COPYs of 4 KiB, per op', 'ns', () =>
  nsPer(640_000, (n) => {
    for (let i = 0; i < n; i += 32) {
      for (let k = 0; k < 32; k++) fillOp(k, OP.COPY, 0, k * 4096, 4096, (1 << 20) + k * 4096, FLAG.QUIET, k);
      ring.tick(32, 0);
    }
  }),
);

const bytes = new Uint8Array(ring.arena);
for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 2654435761) >>> 13;

/** GB/s (10^9) of one digest through the ring's HASH, 32 blocks per tick; `cold` walks the whole arena. */
function hashRate(kind, block, cold) {
  const total = 512 << 20;
  const span = cold ? (bytes.length - (1 << 20)) & -block : Math.max(block, 128 << 10);
  const start = process.hrtime.bigint();
  for (let done = 0, at = 0; done < total;) {
    for (let k = 0; k < 32; k++, done += block, at = (at + block) % span)
      fillOp(k, OP.HASH, 0, at, block, bytes.length - 64, kind | FLAG.QUIET, k);
    ring.tick(32, 0);
  }
  return total / Number(process.hrtime.bigint() - start);
}

for (const [name, kind] of Object.entries(HASH)) {
  measure(`HASH ${name} 4 KiB, in cache`, 'GB/s', () => hashRate(kind, 4096, false));
  measure(`HASH ${name} 4 KiB, from memory`, 'GB/s', () => hashRate(kind, 4096, true));
}
measure('HASH CRC32C 64 KiB, in cache', 'GB/s', () => hashRate(HASH.CRC32C, 65536, false));
measure('HASH XXH3_128 64 KiB, in cache', 'GB/s', () => hashRate(HASH.XXH3_128, 65536, false));
measure('crc32c() of 4 KiB, one call', 'ns', () =>
  nsPer(1_000_000, (n) => {
    for (let i = 0; i < n; i++) native.crc32c(bytes, (i & 15) << 12, 4096, 0);
  }),
);

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'mars-bench-'));
const file = path.join(dir, 'image');
fs.writeFileSync(file, Buffer.alloc(64 << 20, 7));
const fd = native.openFile(file, fs.constants.O_RDWR);

/** Nanoseconds per cached 4 KiB read with `depth` in flight. */
function reads(depth) {
  return nsPer(depth === 1 ? 100_000 : 320_000, (n) => {
    for (let i = 0; i < n; i += depth) {
      for (let k = 0; k < depth; k++) fillOp(k, OP.READ, fd, k * 4096, 4096, (((i + k) * 7919) & 16383) * 4096, 0, k);
      for (let left = depth, ops = depth; left > 0; ops = 0) left -= ring.tick(ops, -1);
    }
  });
}
measure('cached 4 KiB READ, depth 1', 'ns', () => reads(1));
measure('cached 4 KiB READ, depth 32, per op', 'ns', () => reads(32));

/** A byte to and fro over a socket pair, both ends on this ring: the wake-up path without a second thread. */
const [a, b] = native.socketpair();
measure('socket pair round trip, depth 1', 'ns', () =>
  nsPer(50_000, (n) => {
    ring.iov[0] = 0;
    ring.iov[1] = 64;
    for (let i = 0; i < n; i++) {
      fillOp(0, OP.RECV, b, 4096, 4096, 0, 0, 1);
      fillOp(1, OP.SENDMSG, a, 0, 1, 0, 0, 2);
      for (let left = 2, ops = 2; left > 0; ops = 0) left -= ring.tick(ops, -1);
    }
  }),
);

native.closeFd(a);
native.closeFd(b);
native.closeFd(fd);
ring.close();
fs.rmSync(dir, { recursive: true });

import assert from 'node:assert/strict';
import { RecordDecoder } from './decode.js';
import { RecordEncoder } from './encode.js';
import { areaOf, nextSeq } from './layout.js';
import { lcgBytes, workedMeta } from './support.test.kit.js';

const RECORDS = 10_000;
/** A single small object per record would take more than this. */
const BYTES_PER_RECORD_MAX = 8;

/** Least heap growth of some rounds: other things may allocate now and then, the code under test must not at all. */
function heapGrowthBytes(run: () => void): number {
  let least = Infinity;
  for (let round = 0; round < 8; round++) {
    globalThis.gc!();
    const before = process.memoryUsage().heapUsed;
    run();
    least = Math.min(least, process.memoryUsage().heapUsed - before);
  }
  return least;
}

describe('the fast path of the log format', () => {
  before(function () {
    if (!globalThis.gc) this.skip(); // needs node --expose-gc, which .mocharc.cjs sets
  });

  const memory = areaOf(new Uint8Array(8192));
  memory.bytes.set(lcgBytes(512), 4096);

  it('encodes with crc32c without allocating anything per record', () => {
    const encoder = new RecordEncoder();
    const meta = workedMeta();
    const growth = heapGrowthBytes(() => {
      for (let i = 0; i < RECORDS; i++) {
        encoder.encode(memory, 0, 4096, meta, memory, 4096, 512);
        meta.seq = nextSeq(meta.seq);
        meta.pos += 512;
      }
    });
    assert.ok(growth < RECORDS * BYTES_PER_RECORD_MAX, `${growth} bytes for ${RECORDS} records`);
  });

  it('decodes with crc32c without allocating anything per record', () => {
    const n = new RecordEncoder().encode(memory, 0, 4096, workedMeta(), memory, 4096, 512);
    const decoder = new RecordDecoder();
    const growth = heapGrowthBytes(() => {
      for (let i = 0; i < RECORDS; i++) decoder.decode(memory, 0, n, 0, 'refuse');
    });
    assert.equal(decoder.record.kind, 'record');
    assert.ok(growth < RECORDS * BYTES_PER_RECORD_MAX, `${growth} bytes for ${RECORDS} records`);
  });
});

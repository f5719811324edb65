/** Counts that a scan keeps. Bounded: nothing here grows with the log. */

import type { CompressionName } from './compression.js';
import type { DecodedRecord } from './decode.js';
import type { DigestName } from './digests.js';
import { CODE_NEW_DATA, CODE_OLD_DATA } from './layout.js';

/** Buckets of `GrowingHistogram`; even, because pairs are merged. */
export const HISTOGRAM_BUCKETS = 64;
/** Powers of two from 512 bytes on; the first bucket takes everything below. */
export const SIZE_BUCKETS = 7;

/**
 * Counts values on an axis whose length is not known in advance: when a value lies beyond the last bucket, the
 * buckets get twice as wide and pairs of them are merged. Values before the origin move the origin in the same way.
 */
export class GrowingHistogram {
  readonly counts = new Float64Array(HISTOGRAM_BUCKETS);
  origin = NaN;

  constructor(public width: number) {}

  add(value: number, weight: number): void {
    if (!Number.isFinite(value)) return;
    if (Number.isNaN(this.origin)) this.origin = value - (value % this.width);
    while (value < this.origin) this.growDown();
    while (value >= this.origin + this.width * HISTOGRAM_BUCKETS) this.growUp();
    this.counts[Math.min(HISTOGRAM_BUCKETS - 1, Math.floor((value - this.origin) / this.width))]! += weight;
  }

  private growUp(): void {
    const half = HISTOGRAM_BUCKETS / 2;
    for (let i = 0; i < half; i++) this.counts[i] = this.counts[2 * i]! + this.counts[2 * i + 1]!;
    this.counts.fill(0, half);
    this.width *= 2;
  }

  private growDown(): void {
    const half = HISTOGRAM_BUCKETS / 2;
    const span = this.width * HISTOGRAM_BUCKETS;
    for (let i = half - 1; i >= 0; i--) this.counts[half + i] = this.counts[2 * i]! + this.counts[2 * i + 1]!;
    this.counts.fill(0, 0, half);
    this.origin -= span;
    this.width *= 2;
  }
}

export class ScanStats {
  records = 0;
  /** Records accepted without a checksum. */
  unverified = 0;
  /** Records whose sequence did not grow. */
  warnings = 0;
  /** Bytes of good records, frames included. */
  logBytes = 0;
  storedBytes = 0;
  /** Bytes after expansion. */
  payloadBytes = 0;
  payloadLenMin = Infinity;
  payloadLenMax = 0;
  /** Lowest and highest byte that a record touches on the device. */
  posMin = Infinity;
  posEndMax = -Infinity;
  stampMinSec = Infinity;
  stampMinNsec = 0;
  stampMaxSec = -Infinity;
  stampMaxNsec = 0;
  firstSeq = 0;
  lastSeq = 0;
  newData = 0;
  oldData = 0;
  otherCodes = 0;
  readonly byDigest: Record<DigestName | 'none', number> = {
    crc32c: 0,
    crc32: 0,
    md5: 0,
    sha1: 0,
    'md5-old': 0,
    none: 0,
  };
  readonly byCompression: Record<CompressionName | 'none', number> = { none: 0, lzo: 0, lz4: 0, zlib: 0 };
  /** Records per payload length. */
  readonly sizes = new Float64Array(SIZE_BUCKETS);
  /** Records per time of acceptance, in seconds. */
  readonly times = new GrowingHistogram(1);

  add(r: DecodedRecord): void {
    if (this.records++ === 0) this.firstSeq = r.seq;
    this.lastSeq = r.seq;
    if (!r.verified) this.unverified++;
    if (r.warning !== 0) this.warnings++;
    this.logBytes += r.totalLen;
    this.storedBytes += r.storedLen;
    this.byDigest[r.digest]++;
    this.byCompression[r.compression]++;
    this.addCode(r.code);
    this.addPayload(r);
    this.addStamp(r.stampSec, r.stampNsec);
  }

  private addCode(code: number): void {
    if (code === CODE_NEW_DATA) this.newData++;
    else if (code === CODE_OLD_DATA) this.oldData++;
    else this.otherCodes++;
  }

  private addPayload(r: DecodedRecord): void {
    const len = r.payloadLen;
    this.payloadBytes += len;
    if (len < this.payloadLenMin) this.payloadLenMin = len;
    if (len > this.payloadLenMax) this.payloadLenMax = len;
    if (r.pos < this.posMin) this.posMin = r.pos;
    if (r.pos + len > this.posEndMax) this.posEndMax = r.pos + len;
    this.sizes[sizeBucket(len)]!++;
  }

  private addStamp(sec: number, nsec: number): void {
    if (sec < this.stampMinSec || (sec === this.stampMinSec && nsec < this.stampMinNsec)) {
      this.stampMinSec = sec;
      this.stampMinNsec = nsec;
    }
    if (sec > this.stampMaxSec || (sec === this.stampMaxSec && nsec > this.stampMaxNsec)) {
      this.stampMaxSec = sec;
      this.stampMaxNsec = nsec;
    }
    this.times.add(sec, 1);
  }
}

/** Bucket k takes lengths in (256·2^k, 512·2^k]; the first one takes everything up to 512. */
export function sizeBucket(len: number): number {
  const bucket = 32 - Math.clz32((len - 1) >>> 9);
  return Math.min(SIZE_BUCKETS - 1, Math.max(0, bucket));
}

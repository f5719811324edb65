/**
 * Reads one log record. The rules, their order and their numbers are part of the format: which rule fails first
 * decides what is published about a damaged log.
 *
 * Source: transaction-log.md 1.4–1.6
 */

import { PayloadExpander, isPlausibleExpandedLen, preferredCompression } from './compression.js';
import type { CompressionName } from './compression.js';
import { DETAIL, STATUS } from './details.js';
import { DIGEST_FLAG, DIGEST_PREFERENCE, Digester, portableDigestEngine, preferredDigest } from './digests.js';
import type { DigestEngine, DigestName } from './digests.js';
import {
  END_MAGIC_HI,
  END_MAGIC_LO,
  FORMAT_VERSION,
  HEADER,
  HEADER_BYTES,
  KNOWN_FLAGS,
  OVERHEAD_BYTES,
  START_MAGIC_HI,
  START_MAGIC_LO,
  TRAILER,
  TRAILER_BYTES,
  areaOf,
  getI64,
  nextSeq,
  roundUp8,
} from './layout.js';
import type { LogArea } from './layout.js';

/**
 * record: good. end: nothing left. short-tail: 1…84 bytes left. incomplete: the record is longer than what is left
 * (−11). defect: it will never become valid.
 */
export type DecodeKind = 'record' | 'end' | 'short-tail' | 'incomplete' | 'defect';

/** What to do with a record that carries no checksum at all (2016). Who decides: `LogScanner`. */
export type UnverifiedPolicy = 'accept' | 'refuse';

/** One verdict. The decoder fills the same object every time; copy what must live longer. */
export class DecodedRecord {
  kind: DecodeKind = 'end';
  /** 0, or a negative errno. */
  status = 0;
  /** 0, or the negative detail number as published. */
  detail = 0;
  /** The repeated byte of detail −10021, else 0. */
  byteCode = 0;
  /** −10011 on a good record whose sequence does not grow, else 0. */
  warning = 0;

  // The rest is meaningful for kind `record`; on a defect, up to the field that was found bad.
  /** Where the record starts, in `area`. */
  at = 0;
  trailerAt = 0;
  totalLen = 0;
  stampSec = 0;
  stampNsec = 0;
  /** Byte offset on the device; may be negative or absurd, no checksum covers it. Exact up to 2^53. */
  pos = 0;
  storedLen = 0;
  /** 0 = not compressed. */
  expandedLen = 0;
  code = 0;
  seq = 0;
  flags = 0;
  check32 = 0;
  /** The digest that proved the payload, which need not be the one of `flags`. */
  digest: DigestName | 'none' = 'none';
  compression: CompressionName | 'none' = 'none';
  verified = false;
  area: LogArea = areaOf(new Uint8Array(0));
  /** Expanded payload: `payload[payloadAt, payloadAt + payloadLen)`; valid until the next decode or refill. */
  payload: Uint8Array = this.area.bytes;
  payloadAt = 0;
  payloadLen = 0;
}

/** Decodes into `record`. Owns 32 KiB for expanded payloads; nothing else depends on what it reads. */
export class RecordDecoder {
  readonly record = new DecodedRecord();
  private readonly digester: Digester;
  private readonly expander = new PayloadExpander();

  constructor(engine: DigestEngine = portableDigestEngine) {
    this.digester = new Digester(engine);
  }

  /**
   * Judges what stands at `area[at, end)`; bytes outside of that range are never touched.
   *
   * @param end      exclusive bound of what may be used: end of the file, or of a range of it
   * @param prevSeq  sequence of the record before, 0 at the start or if unknown
   * @param policy   whether a record without any checksum is acceptable
   * @returns `record`; consumed bytes are its `totalLen`
   * Source: transaction-log.md 1.6
   */
  decode(area: LogArea, at: number, end: number, prevSeq: number, policy: UnverifiedPolicy): DecodedRecord {
    const r = this.record;
    this.reset(area, at);
    const rest = end - at;
    if (rest <= OVERHEAD_BYTES) return verdict(r, rest <= 0 ? 'end' : 'short-tail', STATUS.good, DETAIL.none);
    if (!this.frameIsGood(area.view, at, rest)) return r;
    this.readFields(area.view, at);
    if (!this.sequenceIsGood(prevSeq) || !this.lengthsAreGood() || !this.payloadIsThere()) return r;
    const detail = this.checksum(policy);
    return detail === DETAIL.none ? r : defect(r, detail);
  }

  private reset(area: LogArea, at: number): void {
    const r = this.record;
    verdict(r, 'record', STATUS.good, DETAIL.none);
    r.byteCode = 0;
    r.warning = 0;
    r.at = at;
    r.area = area;
    r.seq = 0;
    r.totalLen = 0;
    r.payloadLen = 0;
    r.digest = 'none';
    r.compression = 'none';
    r.verified = false;
  }

  /** Rules 2–9. */
  private frameIsGood(view: DataView, at: number, rest: number): boolean {
    const r = this.record;
    if (
      view.getUint32(at + HEADER.magic, true) !== START_MAGIC_LO ||
      view.getUint32(at + HEADER.magic + 4, true) !== START_MAGIC_HI
    ) {
      return refuse(r, DETAIL.badStartMagic);
    }
    if (view.getUint8(at + HEADER.version) !== FORMAT_VERSION) return refuse(r, DETAIL.unknownVersion);
    if (view.getUint8(at + HEADER.valid) === 0) return refuse(r, DETAIL.markedInvalid);
    const totalLen = view.getInt16(at + HEADER.totalLen, true);
    if (totalLen === 0) return refuse(r, DETAIL.zeroLength, STATUS.unfinished);
    if (totalLen < 0) return refuse(r, DETAIL.negativeLength);
    if (totalLen > rest) {
      verdict(r, 'incomplete', STATUS.incomplete, DETAIL.lengthExceedsData);
      return false;
    }
    if (totalLen <= OVERHEAD_BYTES) return refuse(r, DETAIL.lengthTooSmall, STATUS.unfinished);
    r.totalLen = totalLen;
    r.trailerAt = at + totalLen - TRAILER_BYTES;
    if (!this.endMagicIsGood(view, r.trailerAt)) return false;
    return view.getUint8(r.trailerAt + TRAILER.valid) === 1 || refuse(r, DETAIL.validCopyMissing);
  }

  /** Rule 8: a torn write leaves zeros or a repeated byte here, and that is worth telling apart. */
  private endMagicIsGood(view: DataView, trailerAt: number): boolean {
    const r = this.record;
    const low = view.getUint32(trailerAt + TRAILER.magic, true);
    const high = view.getUint32(trailerAt + TRAILER.magic + 4, true);
    if (low === END_MAGIC_LO && high === END_MAGIC_HI) return true;
    const byte = low & 255;
    if (low !== high || low !== byte * 0x01010101) return refuse(r, DETAIL.badEndMagic, STATUS.badEndMagic);
    if (byte === 0) return refuse(r, DETAIL.none, STATUS.unfinished);
    r.byteCode = byte;
    return refuse(r, DETAIL.repeatedByte);
  }

  private readFields(view: DataView, at: number): void {
    const r = this.record;
    r.stampSec = getI64(view, at + HEADER.stampSec);
    r.stampNsec = getI64(view, at + HEADER.stampNsec);
    r.pos = getI64(view, at + HEADER.pos);
    r.storedLen = view.getInt16(at + HEADER.storedLen, true);
    r.expandedLen = view.getInt16(at + HEADER.expandedLen, true);
    r.code = view.getInt16(at + HEADER.code, true);
    r.check32 = view.getUint32(r.trailerAt + TRAILER.check32, true);
    r.flags = view.getUint16(r.trailerAt + TRAILER.flags, true);
    r.seq = view.getUint32(r.trailerAt + TRAILER.seq, true);
  }

  /** Rule 10: a gap means lost records; a number that does not grow is odd but loses nothing. */
  private sequenceIsGood(prevSeq: number): boolean {
    const r = this.record;
    const expected = nextSeq(prevSeq);
    if (prevSeq === 0 || r.seq === 0 || r.seq === expected) return true;
    if (r.seq > expected) return refuse(r, DETAIL.sequenceGap);
    r.warning = DETAIL.sequenceBackwards;
    return true;
  }

  /** Rule 11, stricter than the original, which finds the same damage only through the checksum. */
  private lengthsAreGood(): boolean {
    const r = this.record;
    const areaLen = r.totalLen - OVERHEAD_BYTES;
    if (r.expandedLen < 0 || r.storedLen < 1) return refuse(r, DETAIL.sizeMismatch);
    const neededLen = r.expandedLen === 0 ? r.storedLen : roundUp8(r.storedLen);
    return neededLen === areaLen || refuse(r, DETAIL.sizeMismatch);
  }

  /** Rule 12. A compression bit without an expanded length means plain: old writers could leave the bit set. */
  private payloadIsThere(): boolean {
    const r = this.record;
    r.payload = r.area.bytes;
    r.payloadAt = r.at + HEADER_BYTES;
    r.payloadLen = r.storedLen;
    return r.expandedLen === 0 || this.expand();
  }

  private expand(): boolean {
    const r = this.record;
    if (!isPlausibleExpandedLen(r.expandedLen, r.storedLen)) return refuse(r, DETAIL.badExpandedLength);
    const name = preferredCompression(r.flags);
    if (name === null) return refuse(r, DETAIL.decompressionFailed);
    if (!this.expander.expand(name, r.area.bytes, r.payloadAt, r.storedLen, r.expandedLen)) {
      return refuse(r, DETAIL.decompressionFailed);
    }
    r.compression = name;
    r.payload = this.expander.scratch.bytes;
    r.payloadAt = 0;
    r.payloadLen = r.expandedLen;
    return true;
  }

  /** Rule 13 and the reader policy of 1.4. @returns the detail, 0 if the payload is acceptable */
  private checksum(policy: UnverifiedPolicy): number {
    const r = this.record;
    const named = preferredDigest(r.flags & KNOWN_FLAGS);
    const area = r.expandedLen === 0 ? r.area : this.expander.scratch;
    if (named === null && (r.flags & ~KNOWN_FLAGS) !== 0) return DETAIL.noChecksum;
    if (named === 'crc32c') return this.proves('crc32c', area) ? DETAIL.none : DETAIL.checksumMismatch;

    const usesCheck16 = named !== null && named !== 'md5-old';
    if (usesCheck16 ? this.namedProves(area) : r.check32 !== 0 && this.prefixProves(area)) return DETAIL.none;
    if (this.proves('crc32c', area)) {
      const saysNothing = !usesCheck16 && r.check32 === 0 && this.digester.isZero;
      if (saysNothing) this.forgetProof(); // zeros "match" zeros: HEAD takes it, but it is no checksum
      return DETAIL.none;
    }
    if (usesCheck16 || r.check32 !== 0) return DETAIL.checksumMismatch;
    return r.flags === 0 && policy === 'accept' ? DETAIL.none : DETAIL.noChecksum;
  }

  /** The best of the named digests that can be computed for this length. */
  private namedProves(area: LogArea): boolean {
    const r = this.record;
    for (const name of DIGEST_PREFERENCE) {
      if ((r.flags & DIGEST_FLAG[name]) === 0 || name === 'md5-old') continue;
      if (name === 'md5' && r.payloadLen & 1) continue;
      return this.proves(name, area);
    }
    return false;
  }

  private proves(name: DigestName, area: LogArea): boolean {
    const r = this.record;
    if (!this.digester.compute(name, area, r.payloadAt, r.payloadLen)) return false;
    if (!this.digester.matchesCheck16(r.area.view, r.trailerAt)) return false;
    r.digest = name;
    r.verified = true;
    return true;
  }

  private prefixProves(area: LogArea): boolean {
    const r = this.record;
    this.digester.compute('md5-old', area, r.payloadAt, r.payloadLen);
    if (!this.digester.matchesCheck32(r.area.view, r.trailerAt)) return false;
    r.digest = 'md5-old';
    r.verified = true;
    return true;
  }

  private forgetProof(): void {
    this.record.digest = 'none';
    this.record.verified = false;
  }
}

function verdict(r: DecodedRecord, kind: DecodeKind, status: number, detail: number): DecodedRecord {
  r.kind = kind;
  r.status = status;
  r.detail = detail;
  return r;
}

function defect(r: DecodedRecord, detail: number, status: number = STATUS.defect): DecodedRecord {
  return verdict(r, 'defect', status, detail);
}

/** A defect, as an answer to "is it good?". */
function refuse(r: DecodedRecord, detail: number, status: number = STATUS.defect): false {
  defect(r, detail, status);
  return false;
}

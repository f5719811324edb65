/**
 * Records as JSON objects, one per line: what `mars-log dump` prints. Keys and their order are an interface.
 * 64-bit fields are strings, because not every JSON reader keeps 64 bits.
 */

import { createHash } from 'node:crypto';
import type { CompressionName } from './compression.js';
import type { DecodedRecord } from './decode.js';
import type { DigestName } from './digests.js';
import { CHECK16_BYTES, HEADER, TRAILER } from './layout.js';
import type { ScanResult } from './scan.js';

export interface DumpedRecord {
  type: 'record';
  offset: number;
  totalLen: number;
  stampSec: string;
  stampNsec: number;
  pos: string;
  storedLen: number;
  expandedLen: number;
  code: number;
  seq: number;
  flags: number;
  /** The four bytes as a little-endian number. */
  check32: number;
  /** Hex, in file order. */
  check16: string;
  /** The digest that proved the payload; `none` if nothing did. */
  digest: DigestName | 'none';
  compression: CompressionName | 'none';
  verified: boolean;
  /** After expansion. */
  payloadLen: number;
  payloadSha256: string;
}

export interface DumpedEnd {
  type: 'end';
  goodEnd: number;
  status: number;
  detail: number;
  byteCode: number;
  replayCode: number;
}

/** Call it while the record is valid, that is, inside `OnRecord`. `offset` is the file offset of the record. */
export function dumpRecord(r: DecodedRecord, offset: number): DumpedRecord {
  return {
    type: 'record',
    offset,
    totalLen: r.totalLen,
    stampSec: r.area.view.getBigInt64(r.at + HEADER.stampSec, true).toString(),
    stampNsec: r.stampNsec,
    pos: r.area.view.getBigInt64(r.at + HEADER.pos, true).toString(),
    storedLen: r.storedLen,
    expandedLen: r.expandedLen,
    code: r.code,
    seq: r.seq,
    flags: r.flags,
    check32: r.check32,
    check16: hex(r.area.bytes, r.trailerAt + TRAILER.check16, CHECK16_BYTES),
    digest: r.digest,
    compression: r.compression,
    verified: r.verified,
    payloadLen: r.payloadLen,
    payloadSha256: createHash('sha256')
      .update(r.payload.subarray(r.payloadAt, r.payloadAt + r.payloadLen))
      .digest('hex'),
  };
}

export function dumpEnd(scan: ScanResult): DumpedEnd {
  return {
    type: 'end',
    goodEnd: scan.goodEnd,
    status: scan.status,
    detail: scan.detail,
    byteCode: scan.byteCode,
    replayCode: scan.replayCode,
  };
}

function hex(bytes: Uint8Array, at: number, len: number): string {
  let text = '';
  for (let i = at; i < at + len; i++) text += bytes[i]!.toString(16).padStart(2, '0');
  return text;
}

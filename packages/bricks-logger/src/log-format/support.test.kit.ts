/** Logs to test with. */

import { RecordEncoder, newRecordMeta } from './encode.js';
import type { EncoderOptions, RecordMeta } from './encode.js';
import { areaOf, nextSeq } from './layout.js';
import { readerOf, scanLogSync } from './scan.js';
import type { OnRecord, ScanOptions, ScanResult } from './scan.js';

export const STAMP_SEC = 1477217630;
export const STAMP_NSEC = 123456789;
export const WORKED_POS = 1048576;

/** The payload of the worked example: 64 lines `0000000\n` … `0000063\n`. */
export function workedPayload(): Uint8Array {
  let text = '';
  for (let i = 0; i < 64; i++) text += `${String(i).padStart(7, '0')}\n`;
  return Buffer.from(text, 'latin1');
}

/** Bytes that look random and are the same every time. */
export function lcgBytes(len: number, seed = 1): Uint8Array {
  const out = new Uint8Array(len);
  let x = seed;
  for (let i = 0; i < len; i++) {
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
    out[i] = (x >>> 16) & 255;
  }
  return out;
}

const WORDS = 'the log is written first and the disk later so that nothing is lost when power fails'.split(' ');

/** Words in an order that looks random: compresses well, but not trivially. */
export function wordText(len: number, seed = 7): Uint8Array {
  let text = '';
  let x = seed;
  while (text.length < len) {
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
    text += `${WORDS[(x >>> 16) % WORDS.length]!} `;
  }
  return Buffer.from(text.slice(0, len), 'latin1');
}

export function workedMeta(seq = 1): RecordMeta {
  return { ...newRecordMeta(), stampSec: STAMP_SEC, stampNsec: STAMP_NSEC, pos: WORKED_POS, seq };
}

export interface BuiltLog {
  bytes: Uint8Array;
  /** Start of each record, and the end of the last one. */
  offsets: number[];
}

export interface RecordPlan extends Partial<RecordMeta> {
  payload: Uint8Array;
  encoder?: EncoderOptions;
}

/** Encodes the planned records one behind the other; sequences count from 1 unless planned otherwise. */
export function buildLog(plans: readonly RecordPlan[]): BuiltLog {
  const room = plans.reduce((sum, p) => sum + p.payload.length + 84, 0);
  const target = areaOf(new Uint8Array(room));
  const offsets = [0];
  let at = 0;
  let seq = 1;
  for (const plan of plans) {
    const { payload, encoder, ...fields } = plan;
    const meta = { ...workedMeta(seq), ...fields };
    at += new RecordEncoder(encoder).encode(target, at, room, meta, areaOf(payload), 0, payload.length);
    seq = nextSeq(meta.seq);
    offsets.push(at);
  }
  return { bytes: target.bytes.slice(0, at), offsets };
}

export function scanBytes(log: Uint8Array, options?: ScanOptions, onRecord?: OnRecord): ScanResult {
  return scanLogSync(readerOf(log), options, onRecord);
}

/** A copy of `bytes` with some of them changed. */
export function patched(bytes: Uint8Array, at: number, values: ArrayLike<number>): Uint8Array {
  const copy = bytes.slice();
  copy.set(values, at);
  return copy;
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

import { ERROR_TABLE, ErrorCode, MarsError, type ErrorCodeName } from '@mars/brick-core';
import { MAX_BYE_CHARS } from '../limits.js';
import { ByteReader, ByteWriter } from '../struct/bytes.js';

/** Body of the last frame: why. Number 0 = no reason, everything is all right. */
export function encodeBye(reason: MarsError | null): Uint8Array {
  const out = new ByteWriter();
  out.varint(reason?.number ?? 0);
  const { reason: name } = reason?.details ?? {};
  out.str(typeof name === 'string' ? name.slice(0, MAX_BYE_CHARS) : '');
  out.str((reason?.message ?? '').slice(0, MAX_BYE_CHARS));
  return out.view();
}

/** What the peer said; `null` = an orderly end. Its text may come from anybody, so it is cut and cleaned. */
export function decodeBye(body: Uint8Array, who: string): MarsError | null {
  const from = new ByteReader(body);
  const number = from.varint();
  const reason = printable(from.str());
  const text = printable(from.str());
  if (number === 0) return null;
  return new MarsError(codeOf(number), `${who} has closed the connection: ${text}`, {
    details: { reason, remoteNumber: number, isFromPeer: true },
    ...hintFor(number),
  });
}

/** Only what concerns the two of us; what else may go wrong over there is a refusal to us. */
const MEANINGFUL: readonly ErrorCodeName[] = [
  ErrorCode.WIRE_PROTOCOL,
  ErrorCode.WIRE_VERSION,
  ErrorCode.WIRE_LIMIT,
  ErrorCode.WIRE_SILENT,
  ErrorCode.JOIN_REFUSED,
];

function codeOf(number: number): ErrorCodeName {
  return MEANINGFUL.find((code) => ERROR_TABLE[code].number === number) ?? ErrorCode.PEER_REFUSED;
}

function hintFor(number: number): { hint?: string } {
  if (number !== ERROR_TABLE.PEER_REFUSED.number) return {};
  return { hint: 'See docs/trust.md, "Who comes in": remove the old name, then join again with a fresh token.' };
}

export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters could write on somebody's terminal
  return text.slice(0, MAX_BYE_CHARS).replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}

import { createHash, createHmac, createPrivateKey, hkdfSync, timingSafeEqual } from 'node:crypto';
import { ErrorCode, MarsError } from '@mars/brick-core';
import type { JoinToken } from './types.js';

/**
 * ```
 *    0  u8      version, 1                      89  u16  port
 *    1  32      SHA-256 of the authority        91  u8 + text  inviting host
 *   33  32      SHA-256 of the inviting host's      u8 + text  its address
 *               certificate                         16  HMAC-SHA-256 of all before, first half
 *   65  16      nonce                                4  SHA-256 of all before, first bytes (against broken copies)
 *   81  u64     end, ms since the epoch
 * ```
 * in base64url without padding, one line. Little endian. Source: docs/formats/wire.md, "Join token"
 */
const VERSION = 1;
const HASH_BYTES = 32;
export const NONCE_BYTES = 16;
const MAC_BYTES = 16;
const CHECK_BYTES = 4;
const FIXED_BYTES = 1 + 2 * HASH_BYTES + NONCE_BYTES + 8 + 2;
/** Longer lines are no tokens, characters. */
const MAX_TOKEN_CHARS = 1024;

/** Only members of the cluster can make or check the seal, because it needs the key of the authority. */
export function tokenKey(caKeyPem: string): Buffer {
  const { d } = createPrivateKey(caKeyPem).export({ format: 'jwk' });
  return Buffer.from(hkdfSync('sha256', Buffer.from(d ?? '', 'base64url'), '', 'mars join token 1', 32));
}

export function encodeToken(token: JoinToken, key: Buffer): string {
  const fixed = Buffer.alloc(FIXED_BYTES);
  fixed[0] = VERSION;
  fixed.set(Buffer.from(token.caFingerprintHex, 'hex'), 1);
  fixed.set(Buffer.from(token.inviterFingerprintHex, 'hex'), 33);
  fixed.set(Buffer.from(token.nonceHex, 'hex'), 65);
  fixed.writeBigUInt64LE(BigInt(token.expiresMs), 81);
  fixed.writeUInt16LE(token.address.port, 89);
  const said = Buffer.concat([fixed, text(token.inviter), text(token.address.host)]);
  const sealed = Buffer.concat([said, sealOf(said, key)]);
  return Buffer.concat([sealed, checkOf(sealed)]).toString('base64url');
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

/** Reads a token without checking its seal: that is for the inviting host. @throws MarsError BAD_TOKEN */
export function decodeToken(line: string): JoinToken {
  const bytes = bytesOf(line);
  const sealed = bytes.subarray(0, -CHECK_BYTES);
  if (bytes.length < FIXED_BYTES + 2 + MAC_BYTES + CHECK_BYTES || !checkOf(sealed).equals(bytes.subarray(-CHECK_BYTES)))
    throw badToken('a part of it is missing, or it is damaged');
  if (bytes[0] !== VERSION) throw badToken(`it is of version ${bytes[0]}, this program knows ${VERSION}`);
  const said = sealed.subarray(0, -MAC_BYTES);
  const [inviter, next] = textAt(said, FIXED_BYTES);
  const [host, end] = textAt(said, next);
  if (end !== said.length) throw badToken('it has a wrong length');
  return {
    caFingerprintHex: said.toString('hex', 1, 33),
    inviterFingerprintHex: said.toString('hex', 33, 65),
    nonceHex: said.toString('hex', 65, 81),
    expiresMs: Number(said.readBigUInt64LE(81)),
    inviter,
    address: { host, port: said.readUInt16LE(89) },
  };
}

/** True when a member of this cluster has made the token, and nobody has changed it. */
export function isSealed(line: string, key: Buffer): boolean {
  const bytes = bytesOf(line);
  const sealed = bytes.subarray(0, -CHECK_BYTES);
  if (sealed.length <= MAC_BYTES) return false;
  return timingSafeEqual(sealOf(sealed.subarray(0, -MAC_BYTES), key), sealed.subarray(-MAC_BYTES));
}

/** For file names and messages: as much of a nonce as can be shown without giving it away. */
export function shortNonce(nonceHex: string): string {
  return nonceHex.slice(0, 8);
}

function bytesOf(line: string): Buffer {
  const trimmed = line.trim();
  if (trimmed.length > MAX_TOKEN_CHARS || !/^[-A-Za-z0-9_]+$/.test(trimmed))
    throw badToken('it has other characters than a token');
  return Buffer.from(trimmed, 'base64url');
}

function textAt(bytes: Buffer, at: number): [text: string, next: number] {
  const next = at + 1 + (bytes[at] ?? 0);
  if (at >= bytes.length || next > bytes.length) throw badToken('it has a wrong length');
  return [bytes.toString('utf8', at + 1, next), next];
}

function sealOf(said: Uint8Array, key: Buffer): Buffer {
  return createHmac('sha256', key).update(said).digest().subarray(0, MAC_BYTES);
}

function checkOf(sealed: Uint8Array): Buffer {
  return createHash('sha256').update(sealed).digest().subarray(0, CHECK_BYTES);
}

export function badToken(why: string): MarsError {
  return new MarsError(ErrorCode.BAD_TOKEN, `this is no join token: ${why}`, {
    hint: 'Copy the whole line that "marsadm invite" has printed, or ask for a new one.',
  });
}

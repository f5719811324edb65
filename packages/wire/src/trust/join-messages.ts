import { defineStruct, t } from '../struct/struct.js';

/** The new host, after it has seen that this is the certificate named in its token. */
export const JOIN_REQUEST = defineStruct('join.request', {
  token: t.str,
  host: t.str,
  /** For `ips/ip-HOST`; empty: as the inviter sees the connection. */
  ip: t.str,
  /** SubjectPublicKeyInfo, DER. */
  publicKeyDer: t.bytes,
  /** By that key, over {@link joinBytes}: whoever asks has the key. */
  signature: t.bytes,
});

/** All that a member has. The key of the authority goes to every member, so that any of them can invite (decided.md, *Trust*). */
export const JOIN_ANSWER = defineStruct('join.answer', {
  caPem: t.str,
  caKeyPem: t.str,
  certPem: t.str,
  uuid: t.str,
});

export const JOIN_SIGNATURE = 'join';

/** What the new host signs: nobody can put other words into its request. */
export function joinBytes(token: string, host: string, ip: string): Uint8Array {
  return Buffer.from(JSON.stringify([token, host, ip]));
}

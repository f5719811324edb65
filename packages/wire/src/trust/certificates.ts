import {
  X509Certificate,
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  verify,
  webcrypto,
} from 'node:crypto';
import { invariant } from '@mars/brick-core';

/**
 * Clocks of members may be wrong by days, so certificates begin long before they are made; the tree's own limit for clocks that are
 * too fast is 30 days (symlink-tree.md 4.4).
 */
const BACKDATE_MS = 30 * 86_400_000;
const YEAR_MS = 365 * 86_400_000;
/** The authority should outlive the cluster. */
const CA_LIFE_MS = 50 * YEAR_MS;
/** A host renews its certificate when half of this is over, so it may be off for half a year without noticing. */
export const HOST_LIFE_MS = YEAR_MS;

const CURVE = 'P-256';

/** A certificate and its private key, PEM. */
export interface CertifiedKey {
  readonly certPem: string;
  readonly keyPem: string;
}

/** A new private key, PEM (PKCS #8). */
export function newKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: CURVE });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** The public half of a private key, DER (SubjectPublicKeyInfo). */
export function publicKeyOf(keyPem: string): Uint8Array {
  return new Uint8Array(createPublicKey(keyPem).export({ type: 'spki', format: 'der' }));
}

/** The authority of a new cluster. */
export async function createAuthority(nowMs: number): Promise<CertifiedKey> {
  const x509 = await library();
  const keyPem = newKey();
  const keys = await keyPairOf(keyPem);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    // A name of its own, so that people can tell clusters apart, and OpenSSL never mixes two of them up.
    name: [{ CN: [`MARS cluster ${randomBytes(4).toString('hex')}`] }],
    notBefore: calendar(nowMs - BACKDATE_MS),
    notAfter: calendar(nowMs + CA_LIFE_MS),
    signingAlgorithm: SIGNING,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certPem: pem(certificate), keyPem };
}

/** A certificate for a host, signed by the authority. @param publicKeyDer of the host; anybody may send it */
export async function issueCertificate(
  authority: CertifiedKey,
  host: string,
  publicKeyDer: Uint8Array,
  nowMs: number,
): Promise<string> {
  const x509 = await library();
  const publicKey = await subtle.importKey('spki', publicKeyDer, EC, true, ['verify']);
  const { privateKey } = await keyPairOf(authority.keyPem);
  const issuer = new x509.X509Certificate(authority.certPem);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    issuer: issuer.subjectName,
    subject: [{ CN: [host] }],
    notBefore: calendar(nowMs - BACKDATE_MS),
    notAfter: calendar(nowMs + HOST_LIFE_MS),
    signingAlgorithm: SIGNING,
    publicKey,
    signingKey: privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer, false),
    ],
  });
  return pem(certificate);
}

/** What we need to know about a certificate. @throws when it is none */
export interface CertificateFacts {
  readonly name: string;
  readonly fingerprintHex: string;
  readonly der: Uint8Array;
  /** When it was made, by the clock of its maker. */
  readonly madeMs: number;
  readonly expiresMs: number;
}

export function readCertificate(pemOrDer: string | Uint8Array): CertificateFacts {
  const certificate = new X509Certificate(pemOrDer);
  const names = certificate.subject.split('\n').filter((part) => part.startsWith('CN='));
  return {
    name: names.length === 1 ? names[0]!.slice(3) : '',
    fingerprintHex: fingerprintOf(certificate.raw),
    der: new Uint8Array(certificate.raw),
    madeMs: parseDate(certificate.validFrom) + BACKDATE_MS,
    expiresMs: parseDate(certificate.validTo),
  };
}

/** SHA-256, 64 lower-case hex digits. */
export function fingerprintOf(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex');
}

/** True when `certPem` is signed by the authority and has this key. */
export function belongTogether(caPem: string, certPem: string, keyPem: string): boolean {
  const certificate = new X509Certificate(certPem);
  return certificate.checkPrivateKey(createPrivateKey(keyPem)) && isIssuedBy(certificate.raw, caPem);
}

export function isIssuedBy(der: Uint8Array, caPem: string): boolean {
  return new X509Certificate(der).verify(new X509Certificate(caPem).publicKey);
}

/** ECDSA over SHA-256. `purpose` keeps a signature for one thing from being shown as one for another. */
export function signFor(purpose: string, keyPem: string, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(sign('sha256', signedBytes(purpose, bytes), keyPem));
}

/** @param key certificate or public key of the signer, DER. False also when it is neither. */
export function isSignedFor(
  purpose: string,
  key: { certificateDer: Uint8Array } | { publicKeyDer: Uint8Array },
  bytes: Uint8Array,
  signature: Uint8Array,
): boolean {
  try {
    const publicKey =
      'certificateDer' in key
        ? new X509Certificate(key.certificateDer).publicKey
        : createPublicKey({ key: Buffer.from(key.publicKeyDer), format: 'der', type: 'spki' });
    return verify('sha256', signedBytes(purpose, bytes), publicKey, signature);
  } catch {
    return false; // whatever it was, it is no signature
  }
}

function signedBytes(purpose: string, bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`mars ${purpose}\0`), bytes]);
}

const { subtle } = webcrypto;
const EC = { name: 'ECDSA', namedCurve: CURVE } as const;
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** Loaded when it is needed: most commands never make a certificate, and it takes a tenth of a second. */
function library(): Promise<typeof import('@peculiar/x509')> {
  return import('@peculiar/x509');
}

async function keyPairOf(keyPem: string): Promise<webcrypto.CryptoKeyPair> {
  const pkcs8 = createPrivateKey(keyPem).export({ type: 'pkcs8', format: 'der' });
  return {
    privateKey: await subtle.importKey('pkcs8', pkcs8, EC, true, ['sign']),
    publicKey: await subtle.importKey('spki', publicKeyOf(keyPem), EC, true, ['verify']),
  };
}

function parseDate(text: string): number {
  // eslint-disable-next-line no-restricted-globals -- reads a date, not a clock
  return Date.parse(text);
}

function calendar(ms: number): Date {
  // eslint-disable-next-line no-restricted-globals -- writes a date, reads no clock
  return new Date(ms);
}

function newSerial(): string {
  // Sixteen bytes, positive: RFC 5280 4.1.2.2.
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}

function pem(certificate: { toString(format: 'pem'): string }): string {
  const text = certificate.toString('pem');
  invariant(text.startsWith('-----BEGIN CERTIFICATE-----'), 'the library makes PEM');
  return text.endsWith('\n') ? text : `${text}\n`;
}

import { createHash, type X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { SecurePeer, TlsRefusal } from '@mars/brick-core';

/** The certificate that the other side showed; null when it showed none. Says nothing about whether it is any good. */
export function certificateOf(socket: TLSSocket): X509Certificate | null {
  return socket.getPeerX509Certificate() ?? null;
}

export function peerOf(certificate: X509Certificate): SecurePeer {
  return {
    name: commonName(certificate),
    fingerprintHex: createHash('sha256').update(certificate.raw).digest('hex'),
    certificateDer: new Uint8Array(certificate.raw),
    expiresMs: Date.parse(certificate.validTo),
  };
}

/** Common name; empty when there is none or more than one. */
function commonName({ subject }: X509Certificate): string {
  const names = (subject ?? '').split('\n').filter((part) => part.startsWith('CN='));
  return names.length === 1 ? names[0]!.slice(3) : '';
}

const REASONS: Readonly<Record<string, TlsRefusal>> = {
  CERT_HAS_EXPIRED: 'expired',
  CERT_NOT_YET_VALID: 'not-yet-valid',
};

/** In our words what OpenSSL has against a certificate. */
export function refusalOf(code: string): TlsRefusal {
  return REASONS[code] ?? 'foreign-authority';
}

import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { ErrorCode, MarsError, causeText, type TlsCredentials, type TlsRefusal } from '@mars/brick-core';

/**
 * TLS 1.3 and nothing older; AES-128 first, because it is the fastest where the processor helps. No session is ever resumed: each
 * connection shows its certificate anew.
 */
export const TLS_SETTINGS = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
} as const satisfies SecureContextOptions;

/** @throws MarsError BAD_PARAMETER: certificate and key do not fit together */
export function memberContext({ caPem, certPem, keyPem }: TlsCredentials): SecureContext {
  try {
    return createSecureContext({ ...TLS_SETTINGS, ca: caPem, cert: certPem, key: keyPem });
  } catch (cause) {
    throw new MarsError(ErrorCode.BAD_PARAMETER, `certificate and key do not fit together: ${causeText(cause)}`, {
      cause,
      hint: 'The files in /mars/.trust/ do not belong together; join this host again (docs/trust.md, "Recover").',
    });
  }
}

export function tlsError(name: string, reason: TlsRefusal, text: string, cause?: unknown): MarsError {
  return new MarsError(ErrorCode.TLS_REFUSED, `no secure connection with ${name}: ${text}`, {
    cause,
    details: { reason },
    hint: HINTS[reason],
  });
}

const HINTS: Readonly<Record<TlsRefusal, string>> = {
  'foreign-authority': 'The two hosts belong to different clusters: compare "sha256sum /mars/.trust/ca.crt" on both.',
  expired: 'Check the clocks of both hosts. A daemon renews its certificate by itself when it runs.',
  'not-yet-valid': 'Check the clocks of both hosts.',
  'wrong-certificate': 'Ask for a fresh token with "marsadm invite" on the host that you want to reach.',
  timeout: 'Check the load of that host, and the network between.',
  'no-tls':
    'Does MARS listen there, and is it a plain-text cluster? "ls /mars/.trust" on that host shows a file "insecure" then.',
  'too-many': 'Too many connections at the same time; try again in a few seconds.',
};

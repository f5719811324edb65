import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { ErrorCode, MarsError, causeText, type TlsIdentity } from '@mars/brick-core';
import { errnoOf, machineError } from '../errors.js';

/** What a TLS server needs, as plain data: it travels to the thread that does the work. */
export interface TlsMaterial {
  cert: string;
  key: string;
  /** Authorities of the clients, `null` = nobody is asked for a certificate. */
  ca: string | null;
}

/** Reads the files, and sees to it that they fit together. @throws MarsError FILE_IO, BAD_PARAMETER */
export function readMaterial(identity: TlsIdentity): TlsMaterial {
  const { certPath, keyPath, caPath, verifyPeer } = identity;
  if (verifyPeer && caPath === undefined) {
    throw new MarsError(ErrorCode.BAD_PARAMETER, 'clients cannot be verified without the certificate of an authority', {
      hint: 'Name the file with the certificates of those who sign clients.',
    });
  }
  const ca = caPath === undefined ? null : read(caPath);
  const material = { cert: read(certPath), key: read(keyPath), ca: verifyPeer ? ca : null };
  try {
    createSecureContext({ cert: material.cert, key: material.key, ...(ca === null ? {} : { ca }) });
  } catch (cause) {
    throw new MarsError(ErrorCode.BAD_PARAMETER, `certificate and key do not fit together: ${causeText(cause)}`, {
      cause,
      hint: `Check ${certPath} and ${keyPath}: both must be PEM, and the key must be the one of the certificate.`,
      details: { certPath, keyPath },
    });
  }
  return material;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw machineError(ErrorCode.FILE_IO, { action: `read ${path}`, errno: errnoOf(cause), path, cause });
  }
}

import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { ErrorCode, MarsError, causeText, type TlsClientIdentity, type TlsIdentity } from '@mars/brick-core';
import { errnoOf, machineError } from '../errors.js';

/** What a TLS server needs, as plain data: it travels to the thread that does the work. */
export interface TlsMaterial {
  cert: string;
  key: string;
  /** Authorities of the clients, `null` = nobody is asked for a certificate. */
  ca: string | null;
}

/** What a TLS client needs, as plain data. */
export interface TlsClientMaterial {
  /** `null` = nobody asked who we are, and we do not tell. */
  cert: string | null;
  key: string | null;
  /** Authorities of the server; `null` = those of this machine. */
  ca: string | null;
  serverName: string;
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
  tryOut({ cert: material.cert, key: material.key, ca }, [certPath, keyPath]);
  return material;
}

/** The same for a client. @throws MarsError FILE_IO, BAD_PARAMETER */
export function readClientMaterial({ certPath, keyPath, caPath, serverName }: TlsClientIdentity): TlsClientMaterial {
  if ((certPath === undefined) !== (keyPath === undefined)) {
    throw new MarsError(ErrorCode.BAD_PARAMETER, 'a certificate and its key go together', {
      hint: 'Name the files of both, or of neither.',
    });
  }
  const readIf = (path: string | undefined): string | null => (path === undefined ? null : read(path));
  const material = { cert: readIf(certPath), key: readIf(keyPath), ca: readIf(caPath), serverName };
  const paths = [certPath, keyPath, caPath].filter((path) => path !== undefined);
  if (paths.length > 0) tryOut(material, paths);
  return material;
}

/** Leaves out what is `null`, as node:tls wants it. */
export function given<T extends object>(material: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(material).filter(([, value]) => value !== null)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}

function tryOut(material: { cert: string | null; key: string | null; ca: string | null }, paths: string[]): void {
  const { cert, key, ca } = material;
  try {
    createSecureContext(given({ cert, key, ca }));
  } catch (cause) {
    throw new MarsError(ErrorCode.BAD_PARAMETER, `certificate and key do not fit together: ${causeText(cause)}`, {
      cause,
      hint: `Check ${paths.join(', ')}: all must be PEM, and the key must be the one of the certificate.`,
      details: { paths },
    });
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw machineError(ErrorCode.FILE_IO, { action: `read ${path}`, errno: errnoOf(cause), path, cause });
  }
}

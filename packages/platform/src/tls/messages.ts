import type { TlsClientMaterial, TlsMaterial } from './material.js';

/** What travels between a ring thread and its TLS thread. Descriptors are numbers of the whole process. */
export type ToTlsThread =
  | { kind: 'accept'; id: number; fd: number; material: TlsMaterial }
  | { kind: 'connect'; id: number; fd: number; material: TlsClientMaterial }
  | { kind: 'abort'; id: number };

export type FromTlsThread =
  { kind: 'secure'; id: number; fd: number; name: string | null } | { kind: 'failed'; id: number; text: string };

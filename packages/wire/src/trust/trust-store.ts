import { ErrorCode, MarsError, invariant, type Clock, type Random } from '@mars/brick-core';
import { MAX_OPEN_INVITES, MAX_SUCCESSIONS, TOKEN_LIFE_MS } from '../limits.js';
import { vouchFor } from './admission.js';
import {
  HOST_LIFE_MS,
  belongTogether,
  createAuthority,
  fingerprintOf,
  issueCertificate,
  newKey,
  publicKeyOf,
  readCertificate,
  type CertifiedKey,
} from './certificates.js';
import { NONCE_BYTES, decodeToken, encodeToken, isSealed, tokenKey } from './token.js';
import { TrustFiles, trustError, type FilesForTrust, type TrustContents } from './trust-files.js';
import type { JoinToken, Refusal, Succession, TrustState } from './types.js';

export interface TrustStoreOptions {
  files: FilesForTrust;
  clock: Pick<Clock, 'wallNs'>;
  random: Pick<Random, 'bytes'>;
  /** `/mars`, or what `--mars` says. */
  marsDir: string;
}

/** What is kept of an invitation until it expires. */
interface Invite {
  expiresMs: number;
  /** Fingerprint of the public key that has redeemed it, and the name; null = nobody yet. */
  usedBy: { host: string; keyHex: string } | null;
}

/**
 * `/mars/.trust/`: who this host is, and whom it may let in. All files 0600 in a directory 0700; every change is one step.
 * Used by `marsadm` and by the daemon, which sees changes of the other by reading again.
 */
export class TrustStore {
  private readonly files: TrustFiles;
  private readonly clock: Pick<Clock, 'wallNs'>;
  private readonly random: Pick<Random, 'bytes'>;
  /** What the files said when they were last checked. */
  private checked: { text: string; state: TrustState & { kind: 'member' }; tokenKey: Buffer } | null = null;

  constructor({ files, clock, random, marsDir }: TrustStoreOptions) {
    this.files = new TrustFiles(files, marsDir);
    this.clock = clock;
    this.random = random;
  }

  get directory(): string {
    return this.files.directory;
  }

  /** Reads the files. @throws MarsError TRUST_STATE: damaged, readable by others, or they do not fit together */
  read(): TrustState {
    const contents = this.files.read();
    if (contents === null) return { kind: 'none' };
    if (contents['host.crt'] !== undefined) return this.member(contents);
    if (contents.insecure !== undefined) return { kind: 'insecure' };
    if (contents.token !== undefined)
      return { kind: 'joining', token: decodeToken(contents.token), line: contents.token.trim() };
    return { kind: 'none' };
  }

  // ------------------------------------------------------------------------------------------------------- becoming a member

  /** create-cluster, trust-create: a new authority and a certificate for `host`. Replaces what was there. */
  async create(host: string): Promise<void> {
    const authority = await createAuthority(this.nowMs);
    const keyPem = newKey();
    const certPem = await issueCertificate(authority, host, publicKeyOf(keyPem), this.nowMs);
    this.files.replace({
      'ca.crt': authority.certPem,
      'ca.key': authority.keyPem,
      'host.crt': certPem,
      'host.key': keyPem,
    });
    await this.sync();
  }

  /** What was written stays after a power cut. Everything else calls this itself where it matters. @internal */
  sync(): Promise<void> {
    return this.files.sync();
  }

  /** create-cluster --insecure, join-cluster --insecure. Replaces what was there. */
  createInsecure(): void {
    this.files.replace({ insecure: 'This host talks to its peers in plain text, and believes whatever they say.\n' });
  }

  /** join-cluster, trust-join: keeps the token until it is redeemed. Replaces what was there. @throws MarsError BAD_TOKEN */
  keepToken(line: string): void {
    decodeToken(line);
    const token = `${line.trim()}\n`;
    const before = this.files.read();
    // The same token again: the key stays, because the inviter answers a second time only to the same key.
    const key = before?.token === token && before['host.crt'] === undefined ? before['host.key'] : undefined;
    this.files.replace(key === undefined ? { token } : { token, 'host.key': key });
  }

  /** The key for which this host asks a certificate: made once, so that a repeated question gets the same answer. @internal */
  joiningKey(): string {
    const contents = this.files.read() ?? {};
    if (contents['host.key'] !== undefined) return contents['host.key'];
    const keyPem = newKey();
    this.files.put('host.key', keyPem);
    return keyPem;
  }

  /** The token was redeemed. @throws MarsError TRUST_STATE: what the inviter has sent does not fit. @internal */
  completeJoin(host: string, token: JoinToken, got: { caPem: string; caKeyPem: string; certPem: string }): void {
    const keyPem = this.joiningKey();
    const contents = { 'ca.crt': got.caPem, 'ca.key': got.caKeyPem, 'host.crt': got.certPem, 'host.key': keyPem };
    const state = memberState(contents);
    if (state.caFingerprintHex !== token.caFingerprintHex)
      throw trustError('the authority is not the one of the token');
    if (state.host !== host) throw trustError(`the certificate is for ${state.host}`);
    this.files.replace(contents);
  }

  /** leave-cluster: nothing of the cluster remains. */
  remove(): void {
    this.files.remove();
  }

  // --------------------------------------------------------------------------------------------------------------- inviting

  /**
   * marsadm invite: a new token, good for one hour and one host. Works without a daemon; the daemon of this host redeems it.
   * @throws MarsError TRUST_STATE on a host that is no member, LIMIT_REACHED
   */
  invite(address: { host: string; port: number }): string {
    const contents = this.files.read() ?? {};
    const member = this.member(contents);
    this.dropExpiredInvites();
    if (this.files.invites().length >= MAX_OPEN_INVITES)
      throw new MarsError(ErrorCode.LIMIT_REACHED, `${MAX_OPEN_INVITES} invitations are open`, {
        hint: 'They expire after an hour; use those first.',
      });
    const nonce = new Uint8Array(NONCE_BYTES);
    this.random.bytes(nonce);
    const token: JoinToken = {
      caFingerprintHex: member.caFingerprintHex,
      inviterFingerprintHex: member.fingerprintHex,
      inviter: member.host,
      address,
      expiresMs: this.nowMs + TOKEN_LIFE_MS,
      nonceHex: Buffer.from(nonce).toString('hex'),
    };
    this.writeInvite(token.nonceHex, { expiresMs: token.expiresMs, usedBy: null });
    return encodeToken(token, this.tokenKeyOf(contents));
  }

  /**
   * Takes a token for one host and key; `sync` before anything is given away for it. The same host with the same key may come again.
   * A token counts only if this very host has issued it: its seal alone could be made by any former member.
   * @internal
   */
  redeem(line: string, host: string, publicKeyDer: Uint8Array): JoinToken | Refusal {
    const contents = this.files.read() ?? {};
    const { fingerprintHex } = this.member(contents);
    let token: JoinToken;
    try {
      token = decodeToken(line);
      if (!isSealed(line, this.tokenKeyOf(contents))) return refusal('bad-token', 'the seal of the token is broken');
    } catch (error) {
      return refusal('bad-token', error instanceof MarsError ? error.message : 'the token cannot be read');
    }
    this.dropExpiredInvites();
    if (token.expiresMs <= this.nowMs) return refusal('token-expired', 'the token is older than one hour');
    const invite = readInvite(this.files.readInvite(token.nonceHex));
    if (invite === null || token.inviterFingerprintHex !== fingerprintHex)
      return refusal('token-unknown', 'this host has not issued the token');
    const keyHex = fingerprintOf(publicKeyDer);
    const { usedBy } = invite;
    if (usedBy !== null && (usedBy.host !== host || usedBy.keyHex !== keyHex))
      return refusal('token-used', `the token was used by ${usedBy.host}`);
    if (usedBy === null) this.writeInvite(token.nonceHex, { ...invite, usedBy: { host, keyHex } });
    return token;
  }

  /** True when this host and key have redeemed a token that has not expired: then they may be admitted again. @internal */
  hasRedeemed(line: string, host: string, publicKeyDer: Uint8Array): boolean {
    const invite = readInvite(this.files.readInvite(decodeToken(line).nonceHex));
    return invite?.usedBy?.host === host && invite.usedBy.keyHex === fingerprintOf(publicKeyDer);
  }

  /** Certificate for a host that has redeemed a token, and what else it needs. @internal */
  async issue(
    host: string,
    publicKeyDer: Uint8Array,
  ): Promise<{ caPem: string; caKeyPem: string; certPem: string; fingerprintHex: string }> {
    const authority = authorityOf(this.files.read() ?? {});
    const certPem = await issueCertificate(authority, host, publicKeyDer, this.nowMs);
    return {
      caPem: authority.certPem,
      caKeyPem: authority.keyPem,
      certPem,
      fingerprintHex: readCertificate(certPem).fingerprintHex,
    };
  }

  // --------------------------------------------------------------------------------------------------------------- rotating

  /**
   * When half of the life of the certificate is over (or with `force`): a new key and certificate; the old one vouches for it.
   * The daemon then calls `PeerNet.setIdentity`, and after that writes the new fingerprint into the tree.
   * @returns true if there is a new one
   */
  async renew({ force = false }: { force?: boolean } = {}): Promise<boolean> {
    const before = this.files.read() ?? {};
    const { host, expiresMs, identity } = this.member(before);
    if (!force && expiresMs - this.nowMs > HOST_LIFE_MS / 2) return false;
    const authority = authorityOf(before);
    const keyPem = newKey();
    const certPem = await issueCertificate(authority, host, publicKeyOf(keyPem), this.nowMs);
    const now = this.files.read() ?? {};
    // Somebody else was faster, or the host has left its cluster meanwhile.
    if (now['host.crt'] !== before['host.crt'] || now['host.key'] !== before['host.key']) return false;
    const former = { certPem: before['host.crt']!, keyPem: before['host.key']! };
    const successions = [vouchFor(former, readCertificate(certPem).fingerprintHex), ...identity.successions];
    const contents = { ...now, 'host.crt': certPem, 'host.key': keyPem, 'host.former': writeSuccessions(successions) };
    this.files.replace(contents, { keepInvites: true });
    await this.sync();
    return true;
  }

  private get nowMs(): number {
    return Number(this.clock.wallNs() / 1_000_000n);
  }

  /** Checking everything takes a millisecond, and strangers can ask for it: so not twice for the same files. */
  private member(contents: TrustContents): TrustState & { kind: 'member' } {
    if (contents['host.crt'] === undefined) throw trustError('it is no member of a cluster with certificates');
    const text = JSON.stringify(contents);
    if (this.checked?.text !== text)
      this.checked = { text, state: memberState(contents), tokenKey: tokenKey(contents['ca.key']!) };
    return this.checked.state;
  }

  private tokenKeyOf(contents: TrustContents): Buffer {
    this.member(contents);
    return this.checked!.tokenKey;
  }

  private dropExpiredInvites(): void {
    for (const nonce of this.files.invites()) {
      const invite = readInvite(this.files.readInvite(nonce));
      if (invite === null || invite.expiresMs <= this.nowMs) this.files.removeInvite(nonce);
    }
  }

  private writeInvite(nonceHex: string, invite: Invite): void {
    this.files.writeInvite(nonceHex, `${JSON.stringify(invite)}\n`);
  }
}

function memberState(contents: TrustContents): TrustState & { kind: 'member' } {
  const { 'ca.crt': caPem, 'ca.key': caKeyPem, 'host.crt': certPem, 'host.key': keyPem } = contents;
  if (caPem === undefined || caKeyPem === undefined || certPem === undefined || keyPem === undefined)
    throw trustError('a file is missing');
  try {
    if (!belongTogether(caPem, certPem, keyPem) || !belongTogether(caPem, caPem, caKeyPem))
      throw trustError('certificates and keys do not fit together');
    const own = readCertificate(certPem);
    const authority = readCertificate(caPem);
    return {
      kind: 'member',
      host: own.name,
      fingerprintHex: own.fingerprintHex,
      expiresMs: own.expiresMs,
      caFingerprintHex: authority.fingerprintHex,
      authorityMadeMs: authority.madeMs,
      identity: {
        kind: 'member',
        credentials: { caPem, certPem, keyPem },
        successions: readSuccessions(contents['host.former'] ?? ''),
      },
    };
  } catch (cause) {
    throw trustError('a file cannot be read', cause);
  }
}

function authorityOf({ 'ca.crt': certPem, 'ca.key': keyPem }: TrustContents): CertifiedKey {
  invariant(certPem !== undefined && keyPem !== undefined, 'a member has an authority');
  return { certPem, keyPem };
}

function refusal(reason: Refusal['reason'], text: string): Refusal {
  return { reason, text };
}

function readInvite(text: string | null): Invite | null {
  if (text === null) return null;
  try {
    const { expiresMs, usedBy } = JSON.parse(text) as Invite;
    return typeof expiresMs === 'number' ? { expiresMs, usedBy: usedBy ?? null } : null;
  } catch {
    return null; // what cannot be read invites nobody
  }
}

/** One line each, newest first: certificate and signature in base64. */
function writeSuccessions(successions: readonly Succession[]): string {
  const line = ({ certificateDer, signature }: Succession): string =>
    `${Buffer.from(certificateDer).toString('base64')} ${Buffer.from(signature).toString('base64')}\n`;
  return successions.slice(0, MAX_SUCCESSIONS).map(line).join('');
}

function readSuccessions(text: string): Succession[] {
  const lines = text.split('\n').filter((line) => line.includes(' '));
  return lines.slice(0, MAX_SUCCESSIONS).map((line) => {
    const [certificate = '', signature = ''] = line.split(' ');
    return { certificateDer: fromBase64(certificate), signature: fromBase64(signature) };
  });
}

function fromBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}

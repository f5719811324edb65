import { createHash } from 'node:crypto';
import {
  ErrorCode,
  MarsError,
  type Clock,
  type ConnectTrust,
  type ListenTrust,
  type NetAddress,
  type NetStream,
  type SecureListenOptions,
  type SecureListener,
  type SecureNet,
  type SecurePeer,
  type SecureStream,
  type TlsCredentials,
  type TlsRefusal,
} from '@mars/brick-core';
import type { SimNet } from './net.js';

/** The same as on the real machine, ms. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** A refusal comes a round trip later than the certificate, ms. */
const REFUSAL_MS = 10;
/** First byte of what a secure side sends; plain text begins otherwise. */
const SECURE_MARK = 0x16;
/** Mark and length. */
const PREFIX_BYTES = 5;
const MAX_CERTIFICATE_BYTES = 10_000;

/** What a simulated certificate says; its JSON text is the certificate. */
interface SimCertificate {
  authority: string;
  name: string;
  serial: number;
  expiresMs: number;
}

/**
 * Credentials of the simulated world: names instead of keys. Who has the text of an authority could make any of them, as in the real
 * world every member can.
 */
export function simCredentials(
  authority: string,
  name: string,
  { serial = 1, expiresMs = 4e12 }: { serial?: number; expiresMs?: number } = {},
): TlsCredentials {
  const certPem = JSON.stringify({ authority, name, serial, expiresMs } satisfies SimCertificate);
  return { caPem: authority, certPem, keyPem: keyOf(certPem) };
}

/** As `fingerprintHex` of a peer that shows these credentials. */
export function simFingerprint({ certPem }: TlsCredentials): string {
  return createHash('sha256').update(certPem).digest('hex');
}

/** Secure connections of one life of one host, with the refusals of the real ones. */
export class SimSecureNet implements SecureNet {
  constructor(
    private readonly net: SimNet,
    private readonly clock: Clock,
  ) {}

  async connect(
    address: NetAddress,
    trust: ConnectTrust,
    options: { timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<SecureStream> {
    const stream = await this.net.connect(address, options);
    if (trust.kind === 'plain') return new SimSecureStream(stream, null, false);
    const credentials = trust.kind === 'member' ? trust.credentials : null;
    stream.write(hello(credentials));
    const shown = await this.hear(stream, options.timeoutMs ?? HANDSHAKE_TIMEOUT_MS, options.signal);
    if (shown.kind === 'refused') throw this.give(stream, shown.reason, shown.text);
    if (shown.certificate === null) throw this.give(stream, 'foreign-authority', 'it shows no certificate');
    const peer = peerOf(shown.certificate);
    if (trust.kind === 'joining') {
      if (peer.fingerprintHex !== trust.serverFingerprintHex)
        throw this.give(stream, 'wrong-certificate', 'this is not the host that has issued the token');
    } else {
      const reason = this.judge(shown.certificate, trust.credentials);
      if (reason !== null) throw this.give(stream, reason, 'its certificate is not good');
    }
    return new SimSecureStream(stream, peer, true, shown.rest);
  }

  async listen(address: NetAddress, trust: ListenTrust, options: SecureListenOptions): Promise<SecureListener> {
    let credentials = trust.kind === 'member' ? trust.credentials : null;
    const listener = await this.net.listen(address, (stream) => {
      if (credentials === null) options.accept(new SimSecureStream(stream, null, false));
      else void this.welcome(stream, credentials, options);
    });
    return {
      address: listener.address,
      close: () => listener.close(),
      update: (next) => (credentials = credentials === null ? null : next),
    };
  }

  private async welcome(stream: NetStream, credentials: TlsCredentials, options: SecureListenOptions): Promise<void> {
    const remote = stream.remote.replace(/:\d+$/, '');
    const refuse = (reason: TlsRefusal, text: string): void => {
      stream.destroy();
      options.refused?.(reason, remote, text);
    };
    const shown = await this.hear(stream, options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS);
    if (shown.kind === 'refused') return refuse(shown.reason, shown.text);
    stream.write(hello(credentials));
    const reason = shown.certificate === null ? null : this.judge(shown.certificate, credentials);
    // As in TLS 1.3: the client has seen our certificate before it learns what we think of its own.
    if (reason !== null)
      return this.clock.after(REFUSAL_MS, reason, (why) => refuse(why, 'its certificate is not good'));
    options.accept(new SimSecureStream(stream, shown.certificate && peerOf(shown.certificate), true, shown.rest));
  }

  private judge(certificate: SimCertificate, { caPem }: TlsCredentials): TlsRefusal | null {
    if (certificate.authority !== caPem) return 'foreign-authority';
    return certificate.expiresMs <= Number(this.clock.wallNs() / 1_000_000n) ? 'expired' : null;
  }

  private give(stream: NetStream, reason: TlsRefusal, text: string): MarsError {
    stream.destroy();
    return new MarsError(ErrorCode.TLS_REFUSED, `no secure connection with ${stream.remote}: ${text}`, {
      details: { reason },
    });
  }

  /** The first thing that the other side says. Never rejects but for the signal. */
  private hear(stream: NetStream, timeoutMs: number, signal?: AbortSignal): Promise<Heard> {
    return new Promise((resolve, reject) => {
      let got = Buffer.alloc(0);
      let isOver = false;
      const settle = (heard: Heard): void => {
        if (isOver) return;
        isOver = true;
        stream.pause();
        signal?.removeEventListener('abort', abort);
        resolve(heard);
      };
      const abort = (): void => {
        if (!isOver) stream.destroy();
        isOver = true;
        reject(signal!.reason as Error);
      };
      signal?.addEventListener('abort', abort, { once: true });
      stream.onClose(() =>
        settle({ kind: 'refused', reason: 'no-tls', text: 'the other side has closed the connection' }),
      );
      stream.onData((bytes) => {
        if (isOver) return;
        got = Buffer.concat([got, bytes]);
        const heard = understand(got);
        if (heard !== null) settle(heard);
      });
      this.clock.after(timeoutMs, null, () => settle({ kind: 'refused', reason: 'timeout', text: 'it says nothing' }));
    });
  }
}

type Heard =
  | { kind: 'said'; certificate: SimCertificate | null; rest: Uint8Array }
  | { kind: 'refused'; reason: TlsRefusal; text: string };

function hello(credentials: TlsCredentials | null): Uint8Array {
  const said = Buffer.from(JSON.stringify(credentials && { certPem: credentials.certPem, keyPem: credentials.keyPem }));
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix[0] = SECURE_MARK;
  prefix.writeUInt32LE(said.length, 1);
  return Buffer.concat([prefix, said]);
}

/** `null`: not all has arrived. */
function understand(got: Buffer): Heard | null {
  const noTls: Heard = { kind: 'refused', reason: 'no-tls', text: 'it does not speak TLS' };
  if (got.length > 0 && got[0] !== SECURE_MARK) return noTls;
  if (got.length < PREFIX_BYTES) return null;
  const end = PREFIX_BYTES + got.readUInt32LE(1);
  if (end > MAX_CERTIFICATE_BYTES) return noTls;
  if (got.length < end) return null;
  try {
    const said = JSON.parse(got.toString('utf8', PREFIX_BYTES, end)) as Pick<
      TlsCredentials,
      'certPem' | 'keyPem'
    > | null;
    if (said === null) return { kind: 'said', certificate: null, rest: got.subarray(end) };
    if (said.keyPem !== keyOf(said.certPem)) return noTls;
    return { kind: 'said', certificate: JSON.parse(said.certPem) as SimCertificate, rest: got.subarray(end) };
  } catch {
    return noTls;
  }
}

function keyOf(certPem: string): string {
  return `key of ${certPem}`;
}

function peerOf(certificate: SimCertificate): SecurePeer {
  const certPem = JSON.stringify(certificate);
  return {
    name: certificate.name,
    fingerprintHex: createHash('sha256').update(certPem).digest('hex'),
    certificateDer: new TextEncoder().encode(certPem),
    expiresMs: certificate.expiresMs,
  };
}

/** A stream whose handshake is over. */
class SimSecureStream implements SecureStream {
  readonly remote: string;

  constructor(
    private readonly stream: NetStream,
    readonly peer: SecurePeer | null,
    readonly isEncrypted: boolean,
    private rest: Uint8Array = new Uint8Array(0),
  ) {
    this.remote = stream.remote;
  }

  write(bytes: Uint8Array): boolean {
    return this.stream.write(bytes);
  }

  writeOwned(bytes: Uint8Array, done?: () => void): boolean {
    const isGood = this.stream.write(bytes);
    // The simulated stream copies. The answer comes later, as on the real machine.
    if (done !== undefined) queueMicrotask(done);
    return isGood;
  }

  onData(handler: (bytes: Uint8Array) => void): void {
    const { rest } = this;
    this.rest = new Uint8Array(0);
    if (rest.length > 0) queueMicrotask(() => handler(rest));
    this.stream.onData(handler);
    this.stream.resume();
  }

  end(): void {
    this.stream.end();
  }

  destroy(error?: Error): void {
    this.stream.destroy(error);
  }

  onDrain(handler: () => void): void {
    this.stream.onDrain(handler);
  }

  onClose(handler: (error?: Error) => void): void {
    this.stream.onClose(handler);
  }

  pause(): void {
    this.stream.pause();
  }

  resume(): void {
    this.stream.resume();
  }
}

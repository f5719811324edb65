import { ErrorCode, MarsError, type Clock, type SecurePeer } from '@mars/brick-core';
import { HANDSHAKE_TIMEOUT_MS } from '../limits.js';
import { protocolError } from '../struct/bytes.js';
import { defineStruct, t, type MessageOf } from '../struct/struct.js';
import type { Refusal, RefusalReason } from '../trust/types.js';
import { printable } from './bye.js';
import type { Session } from './session.js';
import type { RemoteHello } from './types.js';

/** First bytes on every connection: what this is, and which versions of the frame format we speak. */
const MAGIC = Buffer.from('MARSwire');
export const WIRE_VERSION = 1;
export const OLDEST_WIRE_VERSION = 1;

const SUCCESSION = defineStruct('wire.succession', { certificateDer: t.bytes, signature: t.bytes });

/** Who somebody says to be. Checked against the certificate before it is believed. */
export const HELLO = defineStruct('wire.hello', {
  host: t.str,
  purpose: t.str,
  version: t.str,
  capabilities: t.list(t.str),
  successions: t.list(t.struct(SUCCESSION)),
});
export type Hello = MessageOf<typeof HELLO>;

/** Decides about a peer; `null` = it may come in. */
export type Admit = (hello: Hello, peer: SecurePeer | null) => Refusal | null;

export interface HandshakeOptions {
  clock: Clock;
  me: Hello;
  admit: Admit;
  /** The other side is a member, or may at least be one: false on both sides of a join. */
  isMember: (hello: Hello) => boolean;
  signal?: AbortSignal;
  timeoutMs?: number;
}

/**
 * The connecting side speaks first, the accepting side only to somebody whom it lets in: so strangers learn nothing.
 * ```
 *   connecting ── greeting, hello ──> accepting:  admit? ── no: bye(reason)
 *   admit?     <── greeting, hello ──                yes
 * ```
 * @throws MarsError PEER_REFUSED (with `details.reason`), WIRE_VERSION, WIRE_PROTOCOL, WIRE_SILENT, SOCKET; the session is then closed
 */
export function greet(session: Session, options: HandshakeOptions): Promise<void> {
  sayHello(session, options.me);
  return meet(session, options, () => {});
}

/** The accepting side; see {@link greet}. */
export function welcome(session: Session, options: HandshakeOptions): Promise<void> {
  return meet(session, options, () => sayHello(session, options.me));
}

function sayHello(session: Session, me: Hello): void {
  const body = Buffer.alloc(MAGIC.length + 4);
  body.set(MAGIC);
  body.writeUInt16LE(WIRE_VERSION, 8);
  body.writeUInt16LE(OLDEST_WIRE_VERSION, 10);
  session.sendGreeting(body);
  session.send(HELLO, me);
}

function meet(session: Session, options: HandshakeOptions, admitted: () => void): Promise<void> {
  const { clock, signal } = options;
  return new Promise((resolve, reject) => {
    let isOver = false;
    const settle = (run: () => void): void => {
      if (isOver) return;
      isOver = true;
      signal?.removeEventListener('abort', abort);
      run();
    };
    const giveUp = (error: MarsError): void =>
      settle(() => {
        session.destroy(error);
        reject(error);
      });
    const abort = (): void => giveUp(abortedError(signal!.reason));
    session.onClose((error) => settle(() => reject(error ?? leftError(session.address))));
    session.expectOnly(HELLO);
    session.onGreeting = (body) => checkGreeting(body);
    session.on(HELLO, (hello) => {
      if (isOver) return;
      const refusal = options.admit(hello, session.peer);
      if (refusal !== null) return refuse(hello, refusal);
      session.remote = remoteOf(hello);
      // Our own answer goes out before anything that the owner of the channel may send.
      admitted();
      session.admit(options.isMember(hello));
      settle(resolve);
    });
    const refuse = (hello: Hello, refusal: Refusal): void =>
      settle(() => {
        const error = refusedError(session.address, refusal, printable(hello.host));
        session.close(error);
        reject(error);
      });
    if (signal?.aborted) return abort();
    signal?.addEventListener('abort', abort, { once: true });
    clock.after(options.timeoutMs ?? HANDSHAKE_TIMEOUT_MS, giveUp, (late) => {
      if (!isOver) late(slowError(session.address));
    });
  });
}

/** @throws MarsError WIRE_PROTOCOL, WIRE_VERSION */
function checkGreeting(body: Uint8Array): void {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  if (bytes.length < MAGIC.length + 4 || !bytes.subarray(0, MAGIC.length).equals(MAGIC))
    throw protocolError('this is not the wire protocol of MARS');
  const [newest, oldest] = [bytes.readUInt16LE(8), bytes.readUInt16LE(10)];
  if (newest >= OLDEST_WIRE_VERSION && oldest <= WIRE_VERSION) return;
  const text = `the other host speaks versions ${oldest} to ${newest} of the protocol, we speak ${OLDEST_WIRE_VERSION} to ${WIRE_VERSION}`;
  throw new MarsError(ErrorCode.WIRE_VERSION, text, {
    hint: 'Update the older of the two.',
    details: { reason: 'wrong-version' satisfies RefusalReason, oldest, newest },
  });
}

function remoteOf({ host, purpose, version, capabilities }: Hello): RemoteHello {
  return { host, purpose, version: printable(version), capabilities: new Set(capabilities) };
}

/** We do not let them in, or (for the connecting side) we have reached the wrong one. */
export function refusedError(address: string, { reason, text }: Refusal, host: string): MarsError {
  return new MarsError(ErrorCode.PEER_REFUSED, `${address} is not let in as ${host || 'anybody'}: ${text}`, {
    details: { reason, host },
    hint: 'See docs/trust.md, "Who comes in".',
  });
}

function slowError(address: string): MarsError {
  return new MarsError(ErrorCode.WIRE_SILENT, `${address} did not say who it is in time`, {
    details: { reason: 'slow' satisfies RefusalReason },
  });
}

function leftError(address: string): MarsError {
  return new MarsError(ErrorCode.SOCKET, `${address} left before it was let in`);
}

function abortedError(reason: unknown): MarsError {
  return new MarsError(ErrorCode.SOCKET, 'the connection is not wanted any more', { cause: reason });
}

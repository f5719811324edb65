import { ErrorCode, MarsError, invariant, isMarsError, type Clock, type SecureStream } from '@mars/brick-core';
import {
  CLOSE_TIMEOUT_MS,
  MAX_HANDSHAKE_BYTES,
  MAX_HANDSHAKE_FRAME_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_RAW_BYTES,
  MAX_RAW_HEADER_BYTES,
  MAX_SEND_QUEUE_BYTES,
} from '../limits.js';
import { ByteWriter, protocolError } from '../struct/bytes.js';
import { Definitions, encodeFields } from '../struct/encode.js';
import type { Fields, MessageOf, Struct } from '../struct/struct.js';
import { decodeBye, encodeBye } from './bye.js';
import { Compressor } from './compressor.js';
import {
  FLAG_DEFLATE,
  FRAME_BYE,
  FRAME_DEFINE,
  FRAME_HEADER_BYTES,
  FRAME_HELLO,
  FRAME_MESSAGE,
  FRAME_PING,
  FRAME_PONG,
  FRAME_RAW,
  FrameReader,
  putFrameHeader,
  type FrameHandler,
} from './frames.js';
import { Heartbeat } from './heartbeat.js';
import { Inbox } from './inbox.js';
import { Outbox, PRIORITY_CONTROL } from './outbox.js';
import {
  TRAFFIC_CLASSES,
  type Channel,
  type ChannelStats,
  type RawOptions,
  type RawReceiver,
  type RemoteHello,
  type Stamps,
  type TrafficClass,
} from './types.js';

/**
 * ```
 *   greeting ──admit()──> admitted ──start()──> open ──close()──> closing ──> closed
 *      └─────────────────────┴────────────────────┴── any error ───────────────┘
 * ```
 * `greeting`: small frames, few bytes, no stamp counts. `admitted`: nothing is read until the handlers are there.
 */
type State = 'greeting' | 'admitted' | 'open' | 'closing' | 'closed';

/** Buffers for messages keep this size from one to the next, bytes. */
const KEEP_BYTES = 64 * 1024;
const NO_BYTES = new Uint8Array(0);

export interface SessionOptions {
  stream: SecureStream;
  clock: Clock;
  stamps: Stamps;
}

/** The one implementation of {@link Channel}; the handshake uses it before anybody else sees it. */
export class Session implements Channel, FrameHandler {
  remote: RemoteHello = { host: '', purpose: '', version: '', capabilities: new Set() };
  /** Body of the greeting, and everything else that comes before the admission. */
  onGreeting: ((body: Uint8Array) => void) | null = null;
  private readonly stream: SecureStream;
  private readonly clock: Clock;
  private readonly stamps: Stamps;
  private readonly outbox: Outbox;
  private readonly inbox = new Inbox();
  private readonly frames = new FrameReader(this);
  private readonly heartbeat: Heartbeat;
  private readonly definitions = new Definitions();
  private readonly compressor = new Compressor();
  private readonly scratch = new ByteWriter();
  private readonly out = new ByteWriter();
  private state: State = 'greeting';
  /** Bytes that came before `start()`. */
  private early: Uint8Array[] = [];
  private receivedBytes = 0;
  private sentMessages = 0;
  private isPaused = false;
  private isMember = false;
  /** Why it ends; undefined = not known yet, null = in an orderly way. */
  private ending: MarsError | null | undefined;
  private closeHandlers: ((error: MarsError | null) => void)[] = [];

  constructor({ stream, clock, stamps }: SessionOptions) {
    this.stream = stream;
    this.clock = clock;
    this.stamps = stamps;
    this.outbox = new Outbox(stream);
    this.heartbeat = new Heartbeat(clock, {
      ping: () => this.sendFrame(FRAME_PING, PRIORITY_CONTROL, NO_BYTES),
      dead: (silentMs) => this.fail(silentError(this.address, silentMs)),
    });
    this.frames.maxBodyBytes = MAX_HANDSHAKE_FRAME_BYTES;
    this.frames.mayBeRaw = false;
    stream.onClose((error) => this.streamClosed(error));
    stream.onData((bytes) => this.received(bytes));
  }

  get address(): string {
    return this.stream.remote;
  }

  get peer(): SecureStream['peer'] {
    return this.stream.peer;
  }

  get isEncrypted(): boolean {
    return this.stream.isEncrypted;
  }

  get isOpen(): boolean {
    return this.state === 'admitted' || this.state === 'open';
  }

  get stats(): ChannelStats {
    return {
      sentBytes: this.outbox.sentBytes,
      receivedBytes: this.receivedBytes,
      sentMessages: this.sentMessages,
      receivedMessages: this.inbox.messages,
      ignoredMessages: this.inbox.ignored,
      sparedBytes: this.compressor.sparedBytes,
      queuedBytes: this.outbox.queuedBytes,
      lastHeardUs: this.heartbeat.lastHeardUs,
      roundTripMs: this.heartbeat.roundTripMs,
    };
  }

  // ------------------------------------------------------------------------------------------------------------ receiving

  on<F extends Fields>(struct: Struct<F>, handler: (message: MessageOf<Struct<F>>, stampNs: bigint) => void): void {
    this.inbox.on(struct, handler as (message: unknown, stampNs: bigint) => void);
  }

  onRaw<F extends Fields>(struct: Struct<F>, receiver: RawReceiver<MessageOf<Struct<F>>>): void {
    this.inbox.onRaw(struct, receiver);
  }

  /** Until the admission only this struct may come. @internal */
  expectOnly(struct: Struct): void {
    this.inbox.only = struct.name;
  }

  /**
   * The peer may come in, but nothing is delivered before `start()`. From a member large frames are taken and its stamps count; of
   * somebody who only wants to join neither is true.
   */
  admit(isMember: boolean): void {
    invariant(this.state === 'greeting', 'a peer is admitted once');
    this.state = 'admitted';
    this.isMember = isMember;
    if (isMember) this.frames.maxBodyBytes = MAX_MESSAGE_BYTES;
    this.frames.mayBeRaw = isMember;
    this.inbox.messages = 0;
    this.inbox.only = null;
    this.frames.hold();
    this.stream.pause();
    this.heartbeat.start();
    this.heartbeat.suspend(true);
  }

  start(): void {
    if (this.state !== 'admitted') return;
    this.state = 'open';
    this.heartbeat.suspend(this.isPaused);
    const { early } = this;
    this.early = [];
    for (const bytes of early) this.received(bytes, false);
    if (!this.isPaused) this.stream.resume();
  }

  pause(): void {
    this.isPaused = true;
    this.heartbeat.suspend(true);
    this.stream.pause();
  }

  resume(): void {
    this.isPaused = false;
    if (this.state === 'admitted') return;
    this.heartbeat.suspend(false);
    this.stream.resume();
  }

  /** A listener of the struct for the time before the admission. @internal */
  frame(type: number, flags: number, stampNs: bigint, body: Uint8Array): void {
    if (this.state === 'greeting') return this.greetingFrame(type, flags, stampNs, body);
    if (this.isMember) this.stamps.seen(stampNs);
    switch (type) {
      case FRAME_MESSAGE:
        if (!this.isMember && flags !== 0) throw protocolError('only members may compress');
        return this.inbox.message(flags, body, stampNs);
      case FRAME_DEFINE:
        return this.inbox.define(body);
      case FRAME_PING:
        return this.sendFrame(FRAME_PONG, PRIORITY_CONTROL, NO_BYTES);
      case FRAME_PONG:
        return this.heartbeat.answered();
      case FRAME_BYE:
        return this.bye(body);
      case FRAME_HELLO:
        throw protocolError('a second greeting');
      default: // a kind of frame that only newer peers know
    }
  }

  rawBegin(header: Uint8Array, payloadBytes: number, stampNs: bigint): void {
    if (this.isMember) this.stamps.seen(stampNs);
    this.inbox.rawBegin(header, payloadBytes, stampNs);
  }

  rawData(bytes: Uint8Array): void {
    this.inbox.rawData(bytes);
  }

  rawEnd(): void {
    this.inbox.rawEnd();
  }

  // --------------------------------------------------------------------------------------------------------------- sending

  send<F extends Fields>(
    struct: Struct<F>,
    message: MessageOf<Struct<F>>,
    trafficClass: TrafficClass = 'meta',
  ): boolean {
    if (!this.maySend) return false;
    const number = this.numberOf(struct);
    const { out } = this;
    out.shrink(KEEP_BYTES);
    out.reset(FRAME_HEADER_BYTES);
    out.varint(number);
    encodeFields(out, struct, message);
    const body = out.view(FRAME_HEADER_BYTES);
    if (body.length > MAX_MESSAGE_BYTES) throw tooLarge(struct.name, body.length, MAX_MESSAGE_BYTES);
    this.sentMessages++;
    const packed = this.isMember ? this.compressor.try(body) : null;
    const priority = priorityOf(trafficClass);
    if (packed !== null) this.sendFrame(FRAME_MESSAGE, priority, packed, FLAG_DEFLATE);
    else {
      putFrameHeader(out.bytes, 0, FRAME_MESSAGE, 0, priority, this.stamps.now(), body.length);
      this.outbox.push(priority, out.view());
    }
    return this.afterSend();
  }

  sendRaw<F extends Fields>(
    struct: Struct<F>,
    header: MessageOf<Struct<F>>,
    payload: Uint8Array,
    { class: trafficClass = 'log', headRoomBytes = 0, done }: RawOptions = {},
  ): boolean {
    if (payload.length > MAX_RAW_BYTES) throw tooLarge(struct.name, payload.length, MAX_RAW_BYTES);
    if (!this.maySend) {
      done?.();
      return false;
    }
    const head = this.rawHead(struct, header, payload.length, priorityOf(trafficClass));
    const priority = priorityOf(trafficClass);
    this.sentMessages++;
    if (headRoomBytes >= head.length) {
      const whole = Buffer.from(payload.buffer, payload.byteOffset - head.length, head.length + payload.length);
      whole.set(head, 0);
      if (done === undefined) this.outbox.push(priority, whole);
      else this.outbox.pushOwned(priority, NO_BYTES, whole, done);
    } else if (done === undefined) this.outbox.pushOwned(priority, head, new Uint8Array(payload), () => {});
    else this.outbox.pushOwned(priority, head, payload, done);
    return this.afterSend();
  }

  onDrain(handler: () => void): void {
    this.outbox.onDrain = handler;
  }

  /** The greeting, before anything else. @internal */
  sendGreeting(body: Uint8Array): void {
    this.sendFrame(FRAME_HELLO, PRIORITY_CONTROL, body);
  }

  // --------------------------------------------------------------------------------------------------------------- the end

  onClose(handler: (error: MarsError | null) => void): void {
    if (this.state === 'closed') queueMicrotask(() => handler(this.ending ?? null));
    else this.closeHandlers.push(handler);
  }

  close(reason?: MarsError): void {
    if (this.state === 'closing' || this.state === 'closed') return;
    this.state = 'closing';
    this.ending ??= reason ?? null;
    this.frames.stop();
    this.heartbeat.stop();
    this.early = [];
    this.outbox.whenEmpty(() => {
      this.sendFrame(FRAME_BYE, PRIORITY_CONTROL, encodeBye(reason ?? null));
      this.stream.end();
    });
    // What the peer still sends has to be read, or its end is never seen.
    this.stream.resume();
    this.clock.after(CLOSE_TIMEOUT_MS, this, destroyLate);
  }

  /** At once, without a word: for peers that do not behave. @internal */
  destroy(reason: MarsError): void {
    if (this.state === 'closed') return;
    this.ending ??= reason;
    this.state = 'closing';
    this.frames.stop();
    this.heartbeat.stop();
    this.stream.destroy();
  }

  /** @internal */
  destroyIfOpen(): void {
    if (this.state !== 'closed') this.stream.destroy();
  }

  /** The channel has come to an end by an error: the peer is told why, but nothing that waits is waited for. */
  private fail(error: MarsError): void {
    if (this.state === 'closing' || this.state === 'closed') return;
    if (this.outbox.queuedBytes > 0) this.destroy(error);
    else this.close(error);
  }

  private bye(body: Uint8Array): void {
    this.ending = decodeBye(body, this.remote.host === '' ? this.address : this.remote.host);
    this.frames.stop();
    this.heartbeat.stop();
    this.state = 'closing';
    this.stream.end();
    this.clock.after(CLOSE_TIMEOUT_MS, this, destroyLate);
  }

  private streamClosed(error: Error | undefined): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.frames.stop();
    this.heartbeat.stop();
    this.outbox.drop();
    if (this.ending === undefined) this.ending = brokenError(this.address, error);
    const handlers = this.closeHandlers;
    this.closeHandlers = [];
    for (const handler of handlers) handler(this.ending);
  }

  // ---------------------------------------------------------------------------------------------------------------- inside

  private received(bytes: Uint8Array, isNew = true): void {
    if (isNew) this.receivedBytes += bytes.length;
    if (this.state === 'closing' || this.state === 'closed') return;
    if (this.state === 'admitted') return void this.early.push(new Uint8Array(bytes));
    this.heartbeat.heard();
    try {
      if (!this.isMember && this.receivedBytes > MAX_HANDSHAKE_BYTES) throw protocolError('a stranger talks too much');
      const used = this.frames.feed(bytes);
      if (used < bytes.length && this.isOpen) this.early.push(new Uint8Array(bytes.subarray(used)));
    } catch (error) {
      if (!isMarsError(error)) throw error;
      this.fail(error);
    }
  }

  private greetingFrame(type: number, flags: number, stampNs: bigint, body: Uint8Array): void {
    if (type === FRAME_HELLO && this.onGreeting !== null) {
      const greeting = this.onGreeting;
      this.onGreeting = null;
      return greeting(body);
    }
    if (type === FRAME_BYE) return this.bye(body);
    if (this.onGreeting !== null) throw protocolError('something else came before the greeting');
    if (type === FRAME_DEFINE) return this.inbox.define(body);
    // Nobody may make us unpack anything before he has been admitted.
    if (type === FRAME_MESSAGE && flags === 0) return this.inbox.message(flags, body, stampNs);
    throw protocolError('something else came before the admission');
  }

  private get maySend(): boolean {
    return this.state === 'greeting' || this.state === 'admitted' || this.state === 'open';
  }

  private numberOf(struct: Struct): number {
    return this.definitions.numberOf(struct, this.scratch, (body) =>
      this.sendFrame(FRAME_DEFINE, PRIORITY_CONTROL, body),
    );
  }

  private sendFrame(type: number, priority: number, body: Uint8Array, flags = 0): void {
    const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + body.length);
    putFrameHeader(frame, 0, type, flags, priority, this.stamps.now(), body.length);
    frame.set(body, FRAME_HEADER_BYTES);
    this.outbox.push(priority, frame);
  }

  /** Header of the frame, length of the struct, struct. A view, good until the next message. */
  private rawHead(struct: Struct, header: object, payloadBytes: number, priority: number): Uint8Array {
    const number = this.numberOf(struct);
    const { out } = this;
    out.shrink(KEEP_BYTES);
    out.reset(FRAME_HEADER_BYTES + 2);
    out.varint(number);
    encodeFields(out, struct, header);
    const headerBytes = out.length - FRAME_HEADER_BYTES - 2;
    if (headerBytes > MAX_RAW_HEADER_BYTES) throw tooLarge(struct.name, headerBytes, MAX_RAW_HEADER_BYTES);
    out.bytes.writeUInt16LE(headerBytes, FRAME_HEADER_BYTES);
    putFrameHeader(out.bytes, 0, FRAME_RAW, 0, priority, this.stamps.now(), 2 + headerBytes + payloadBytes);
    return out.view();
  }

  private afterSend(): boolean {
    if (this.outbox.queuedBytes > MAX_SEND_QUEUE_BYTES) {
      this.destroy(
        new MarsError(ErrorCode.WIRE_LIMIT, `${this.address} does not read what is sent to it`, {
          details: { queuedBytes: this.outbox.queuedBytes },
          hint: 'The connection is opened again by itself. If this repeats, look at the load of that host.',
        }),
      );
      return false;
    }
    return !this.outbox.isFull;
  }
}

function destroyLate(session: Session): void {
  session.destroyIfOpen();
}

/** Frames carry the class as a number; 0 is our own business. */
function priorityOf(trafficClass: TrafficClass): number {
  return 1 + TRAFFIC_CLASSES.indexOf(trafficClass);
}

function tooLarge(name: string, bytes: number, most: number): MarsError {
  return new MarsError(ErrorCode.WIRE_LIMIT, `a message ${name} has ${bytes} bytes, at most ${most} can be sent`, {
    details: { bytes, most },
    hint: 'This is a defect of MARS: long lists must be sent in portions.',
  });
}

function silentError(who: string, silentMs: number): MarsError {
  return new MarsError(ErrorCode.WIRE_SILENT, `nothing was heard of ${who} for ${Math.round(silentMs / 1000)} s`, {
    hint: 'New attempts follow by themselves. If they fail, check the host and the network between.',
  });
}

function brokenError(who: string, cause: Error | undefined): MarsError {
  if (cause !== undefined && isMarsError(cause)) return cause;
  return new MarsError(ErrorCode.SOCKET, `the connection to ${who} has ended without a good-bye`, {
    cause,
    hint: 'Probably the daemon there has died, or the host. New attempts follow by themselves.',
  });
}

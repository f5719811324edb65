import { MAX_MESSAGE_BYTES, MAX_RAW_BYTES, MAX_RAW_HEADER_BYTES } from '../limits.js';
import { protocolError } from '../struct/bytes.js';

/**
 * ```
 *   0  u32  bytes that follow these four        8  i64  Lamport stamp, ns
 *   4  u8   type                               16  body
 *   5  u8   flags: lower four must be known
 *   6  u8   traffic class     7  u8  reserved, 0
 * ```
 * All little endian. Source: docs/formats/wire.md, "Frames"
 */
export const FRAME_HEADER_BYTES = 16;
/** What the length field counts of the header. */
const COUNTED_HEADER_BYTES = FRAME_HEADER_BYTES - 4;

export const FRAME_HELLO = 1;
export const FRAME_DEFINE = 2;
export const FRAME_MESSAGE = 3;
export const FRAME_RAW = 4;
export const FRAME_PING = 5;
export const FRAME_PONG = 6;
export const FRAME_BYE = 7;

export const FLAG_DEFLATE = 1;
const FLAGS_TO_UNDERSTAND = 0x0f;

/** Writes the header of a frame in front of `bodyBytes` of body. */
export function putFrameHeader(
  into: Buffer,
  at: number,
  type: number,
  flags: number,
  trafficClass: number,
  stampNs: bigint,
  bodyBytes: number,
): void {
  into.writeUInt32LE(COUNTED_HEADER_BYTES + bodyBytes, at);
  into[at + 4] = type;
  into[at + 5] = flags;
  into[at + 6] = trafficClass;
  into[at + 7] = 0;
  into.writeBigInt64LE(stampNs, at + 8);
}

/** What a {@link FrameReader} finds. Bytes are good only during the call. */
export interface FrameHandler {
  frame(type: number, flags: number, stampNs: bigint, body: Uint8Array): void;
  /** A raw frame begins; its payload follows in pieces. */
  rawBegin(header: Uint8Array, payloadBytes: number, stampNs: bigint): void;
  rawData(bytes: Uint8Array): void;
  rawEnd(): void;
}

/**
 * Cuts a byte stream into frames. Frames that arrive in one piece are not copied; raw payloads never are.
 * Memory: one frame. Every error is WIRE_PROTOCOL, and after it the stream makes no sense any more.
 */
export class FrameReader {
  /** Frames may be this long; raised when the peer has been admitted. */
  maxBodyBytes = MAX_MESSAGE_BYTES;
  mayBeRaw = true;
  private readonly header = Buffer.alloc(FRAME_HEADER_BYTES);
  private headerHas = 0;
  /** Body of the frame under way that did not come in one piece. */
  private body: Buffer | null = null;
  private bodyHas = 0;
  private payloadLeft = 0;
  private isStopped = false;
  private isHeld = false;

  constructor(private readonly handler: FrameHandler) {}

  /** No frame is delivered any more, also not from the bytes of the present call. */
  stop(): void {
    this.isStopped = true;
    this.body = null;
  }

  /** Delivers no further frame until the next {@link feed}, which then must begin with what this one left. */
  hold(): void {
    this.isHeld = true;
  }

  /** Takes the next bytes; they are the caller's again. @returns how many were used: all, unless somebody called `hold` or `stop` */
  feed(bytes: Uint8Array): number {
    let at = 0;
    this.isHeld = false;
    while (at < bytes.length && !this.isStopped && !this.isHeld) {
      if (this.payloadLeft > 0) at += this.takePayload(bytes, at);
      else if (this.headerHas < FRAME_HEADER_BYTES) at += this.takeHeader(bytes, at);
      else at += this.takeBody(bytes, at);
    }
    return at;
  }

  private takeHeader(bytes: Uint8Array, at: number): number {
    const take = Math.min(FRAME_HEADER_BYTES - this.headerHas, bytes.length - at);
    this.header.set(bytes.subarray(at, at + take), this.headerHas);
    this.headerHas += take;
    if (this.headerHas === FRAME_HEADER_BYTES) this.checkHeader();
    return take;
  }

  private checkHeader(): void {
    const { header } = this;
    const length = header.readUInt32LE(0);
    const isRaw = header[4] === FRAME_RAW && this.mayBeRaw;
    const most = isRaw ? MAX_RAW_BYTES + MAX_RAW_HEADER_BYTES + 2 : this.maxBodyBytes;
    if (length < COUNTED_HEADER_BYTES || length - COUNTED_HEADER_BYTES > most)
      throw protocolError('a frame has an impossible length', { lengthBytes: length, mostBytes: most });
    if (header[4] === 0) throw protocolError('there is no frame of type 0');
    if ((header[5]! & FLAGS_TO_UNDERSTAND & ~FLAG_DEFLATE) !== 0) throw protocolError('a frame has unknown flags');
    // A frame without body is complete with its header; nothing else would start it.
    if (length === COUNTED_HEADER_BYTES) this.complete(this.header.subarray(0, 0));
  }

  private get bodyBytes(): number {
    return this.header.readUInt32LE(0) - COUNTED_HEADER_BYTES;
  }

  private takeBody(bytes: Uint8Array, at: number): number {
    const want = this.header[4] === FRAME_RAW ? this.rawHeaderBytes(bytes, at) : this.bodyBytes;
    if (this.bodyHas === 0 && bytes.length - at >= want) {
      this.complete(bytes.subarray(at, at + want));
      return want;
    }
    this.body = enlarged(this.body, this.bodyHas, want);
    const take = Math.min(want, this.body.length, this.bodyHas + bytes.length - at) - this.bodyHas;
    this.body.set(bytes.subarray(at, at + take), this.bodyHas);
    this.bodyHas += take;
    if (this.bodyHas === want && (this.header[4] !== FRAME_RAW || want > 2)) {
      const body = this.body.subarray(0, want);
      this.body = null;
      this.complete(body);
    }
    return take;
  }

  /** How much of a raw frame is to be collected: first the two bytes that say how long its header is, then that. */
  private rawHeaderBytes(bytes: Uint8Array, at: number): number {
    const bodyBytes = this.bodyBytes;
    if (bodyBytes < 2) throw protocolError('a raw frame is too short');
    let length: number;
    if (this.bodyHas >= 2) length = this.body![0]! | (this.body![1]! << 8);
    else if (this.bodyHas === 0 && bytes.length - at >= 2) length = bytes[at]! | (bytes[at + 1]! << 8);
    else return 2;
    if (length === 0 || length > MAX_RAW_HEADER_BYTES || length + 2 > bodyBytes)
      throw protocolError('a raw frame has an impossible header');
    return length + 2;
  }

  private complete(body: Uint8Array): void {
    const { header } = this;
    const stampNs = header.readBigInt64LE(8);
    this.headerHas = 0;
    this.bodyHas = 0;
    if (header[4] !== FRAME_RAW) return this.handler.frame(header[4]!, header[5]!, stampNs, body);
    if (body.length < 2) throw protocolError('a raw frame is too short');
    this.payloadLeft = this.bodyBytes - body.length;
    const { payloadLeft } = this;
    this.handler.rawBegin(body.subarray(2), payloadLeft, stampNs);
    if (payloadLeft === 0 && !this.isStopped) this.handler.rawEnd();
  }

  private takePayload(bytes: Uint8Array, at: number): number {
    const take = Math.min(this.payloadLeft, bytes.length - at);
    this.payloadLeft -= take;
    this.handler.rawData(bytes.subarray(at, at + take));
    if (this.payloadLeft === 0 && !this.isStopped) this.handler.rawEnd();
    return take;
  }
}

const FIRST_PIECE_BYTES = 16 * 1024;

/** Memory follows what has arrived, not what was announced. */
function enlarged(body: Buffer | null, has: number, want: number): Buffer {
  if (body !== null && body.length > has) return body;
  const larger = Buffer.allocUnsafeSlow(Math.min(want, Math.max(FIRST_PIECE_BYTES, 2 * has)));
  if (body !== null) larger.set(body.subarray(0, has));
  return larger;
}

import { inflateRawSync } from 'node:zlib';
import { ErrorCode, MarsError } from '@mars/brick-core';
import { MAX_MESSAGE_BYTES } from '../limits.js';
import { ByteReader, protocolError } from '../struct/bytes.js';
import { RemoteStructs, decoderFor, type Decode } from '../struct/decode.js';
import type { Struct } from '../struct/struct.js';
import { FLAG_DEFLATE } from './frames.js';
import type { RawReceiver } from './types.js';

type Handler = (message: unknown, stampNs: bigint) => void;

interface Listener {
  struct: Struct;
  handler: Handler | null;
  receiver: RawReceiver<unknown> | null;
}

interface Reading {
  decode: Decode;
  listener: Listener;
}

/** Turns bodies of frames into messages for those who listen to them. */
export class Inbox {
  messages = 0;
  ignored = 0;
  /** Before the admission: the only struct that may come. */
  only: string | null = null;
  private readonly structs = new RemoteStructs();
  private readonly listeners = new Map<string, Listener>();
  /** By number of the peer; null = nobody listens. */
  private readings: (Reading | null | undefined)[] = [];
  private rawReceiver: RawReceiver<unknown> | null = null;

  on(struct: Struct, handler: Handler): void {
    this.listen(struct, { handler });
  }

  onRaw(struct: Struct, receiver: RawReceiver<unknown>): void {
    this.listen(struct, { receiver });
  }

  define(body: Uint8Array): void {
    this.structs.define(new ByteReader(body));
  }

  message(flags: number, body: Uint8Array, stampNs: bigint): void {
    const from = new ByteReader((flags & FLAG_DEFLATE) === 0 ? body : inflate(body));
    const reading = this.readingOf(from.varint());
    if (this.only !== null && reading?.listener.struct.name !== this.only)
      throw protocolError('something else came before the admission');
    if (reading?.listener.handler == null) return void this.ignored++;
    const message = reading.decode(from);
    if (from.left > 0) throw protocolError(`a message ${reading.listener.struct.name} is too long`);
    this.messages++;
    reading.listener.handler(message, stampNs);
  }

  rawBegin(header: Uint8Array, payloadBytes: number, stampNs: bigint): void {
    const from = new ByteReader(header);
    const reading = this.readingOf(from.varint());
    this.rawReceiver = reading?.listener.receiver ?? null;
    if (reading === null || this.rawReceiver === null) return void this.ignored++;
    this.messages++;
    this.rawReceiver.begin(reading.decode(from), payloadBytes, stampNs);
  }

  rawData(bytes: Uint8Array): void {
    this.rawReceiver?.data(bytes);
  }

  rawEnd(): void {
    const receiver = this.rawReceiver;
    this.rawReceiver = null;
    receiver?.end();
  }

  private listen(struct: Struct, part: Partial<Listener>): void {
    const before = this.listeners.get(struct.name) ?? { struct, handler: null, receiver: null };
    this.listeners.set(struct.name, { ...before, ...part, struct });
    this.readings = [];
  }

  private readingOf(number: number): Reading | null {
    const known = this.readings[number];
    if (known !== undefined) return known;
    const remote = this.structs.get(number);
    const listener = this.listeners.get(remote.name);
    const reading = listener === undefined ? null : { decode: decoderFor(remote, listener.struct), listener };
    return (this.readings[number] = reading);
  }
}

function inflate(body: Uint8Array): Uint8Array {
  try {
    return inflateRawSync(body, { maxOutputLength: MAX_MESSAGE_BYTES });
  } catch (cause) {
    throw new MarsError(ErrorCode.WIRE_PROTOCOL, 'a compressed message is damaged or too large', { cause });
  }
}

import {
  CHUNK_BYTES,
  CLIENT_FLAGS_BYTES,
  FLAG_FIXED_NEWSTYLE,
  FLAG_NO_ZEROES,
  GREETING_BYTES,
  OPTION_HEADER_BYTES,
  OPTION_MAGIC_HI,
  OPTION_MAGIC_LO,
  OPTION_REPLY_BYTES,
  OPT_GO,
  OPT_SET_META_CONTEXT,
  OPT_STRUCTURED_REPLY,
  REQUEST_BYTES,
  REQUEST_MAGIC,
  SIMPLE_REPLY_BYTES,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
} from '../nbd/protocol.js';
import type { MemoryClient } from './memory-ring.test.kit.js';
import type { ServerKit } from './server-kit.test.kit.js';

/** What a client says, as bytes. */
export function clientFlags(flags = FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES): Buffer {
  const bytes = Buffer.alloc(CLIENT_FLAGS_BYTES);
  bytes.writeUInt32BE(flags);
  return bytes;
}

export function option(number: number, data: Uint8Array = new Uint8Array(0)): Buffer {
  const head = Buffer.alloc(OPTION_HEADER_BYTES);
  head.writeUInt32BE(OPTION_MAGIC_HI, 0);
  head.writeUInt32BE(OPTION_MAGIC_LO, 4);
  head.writeUInt32BE(number, 8);
  head.writeUInt32BE(data.length, 12);
  return Buffer.concat([head, data]);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function nbdString(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([u32(bytes.length), bytes]);
}

/** Data of INFO and GO. */
export function infoData(name = '', infos: readonly number[] = []): Buffer {
  return Buffer.concat([nbdString(name), u16(infos.length), ...infos.map(u16)]);
}

/** Data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export function contextData(name = '', queries: readonly string[] = ['base:allocation']): Buffer {
  return Buffer.concat([nbdString(name), u32(queries.length), ...queries.map(nbdString)]);
}

export interface RequestText {
  type: number;
  flags?: number;
  cookie?: bigint;
  offset?: number | bigint;
  length?: number;
  data?: Uint8Array;
}

export function request({ type, flags = 0, cookie = 1n, offset = 0, length, data }: RequestText): Buffer {
  const head = Buffer.alloc(REQUEST_BYTES);
  head.writeUInt32BE(REQUEST_MAGIC, 0);
  head.writeUInt16BE(flags, 4);
  head.writeUInt16BE(type, 6);
  head.writeBigUInt64BE(cookie, 8);
  head.writeBigUInt64BE(BigInt(offset), 16);
  head.writeUInt32BE(length ?? data?.length ?? 0, 24);
  return data === undefined ? head : Buffer.concat([head, data]);
}

export interface OptionReply {
  option: number;
  type: number;
  data: Buffer;
}

/** The greeting and the replies to options in `bytes`. */
export function parseOptionReplies(bytes: Uint8Array, from = 0): OptionReply[] {
  const buffer = Buffer.from(bytes);
  const replies: OptionReply[] = [];
  for (let at = from; at < buffer.length;) {
    const length = buffer.readUInt32BE(at + 16);
    const data = buffer.subarray(at + OPTION_REPLY_BYTES, at + OPTION_REPLY_BYTES + length);
    replies.push({ option: buffer.readUInt32BE(at + 8), type: buffer.readUInt32BE(at + 12), data });
    at += OPTION_REPLY_BYTES + length;
  }
  return replies;
}

export type Reply =
  | { kind: 'simple'; cookie: bigint; error: number; data: Buffer }
  | { kind: 'chunk'; cookie: bigint; isLast: boolean; type: number; data: Buffer };

/** @param readBytes data that follows a simple reply without error to a READ with this cookie */
export function parseReplies(bytes: Uint8Array, readBytes: (cookie: bigint) => number = () => 0): Reply[] {
  const buffer = Buffer.from(bytes);
  const replies: Reply[] = [];
  for (let at = 0; at < buffer.length;) {
    const magic = buffer.readUInt32BE(at);
    const cookie = buffer.readBigUInt64BE(at + 8);
    if (magic === SIMPLE_REPLY_MAGIC) {
      const error = buffer.readUInt32BE(at + 4);
      const length = error === 0 ? readBytes(cookie) : 0;
      at += SIMPLE_REPLY_BYTES + length;
      replies.push({ kind: 'simple', cookie, error, data: buffer.subarray(at - length, at) });
    } else if (magic === STRUCTURED_REPLY_MAGIC) {
      const length = buffer.readUInt32BE(at + 16);
      const data = buffer.subarray(at + CHUNK_BYTES, at + CHUNK_BYTES + length);
      const isLast = (buffer.readUInt16BE(at + 4) & 1) !== 0;
      replies.push({ kind: 'chunk', cookie, isLast, type: buffer.readUInt16BE(at + 6), data });
      at += CHUNK_BYTES + length;
    } else throw new Error(`no reply at byte ${at} of ${buffer.length}`);
  }
  return replies;
}

/** A client that has finished the handshake, its replies read away. */
export function join(kit: ServerKit, { structured = true, context = true, name = '' } = {}): MemoryClient {
  const client = kit.connect();
  const options = [clientFlags()];
  if (structured) options.push(option(OPT_STRUCTURED_REPLY));
  if (structured && context) options.push(option(OPT_SET_META_CONTEXT, contextData(name)));
  options.push(option(OPT_GO, infoData(name)));
  for (const bytes of options) client.write(bytes);
  kit.run();
  client.read();
  return client;
}

/** Everything that the server says now, and after every read of the client. */
export function readAll(kit: ServerKit, client: MemoryClient): Buffer {
  const parts: Uint8Array[] = [];
  for (;;) {
    kit.run();
    const bytes = client.read();
    if (bytes.length === 0) return Buffer.concat(parts);
    parts.push(bytes);
  }
}

export { GREETING_BYTES };

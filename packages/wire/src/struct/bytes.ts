import { ErrorCode, MarsError, invariant } from '@mars/brick-core';

/** What came from outside is not what it should be. */
export function protocolError(text: string, details: Readonly<Record<string, unknown>> = {}): MarsError {
  return new MarsError(ErrorCode.WIRE_PROTOCOL, text, {
    details,
    hint: 'If this is a member of the cluster, compare the versions of MARS on both hosts.',
  });
}

const FIRST_BYTES = 256;
const TWO_32 = 2 ** 32;

/** Bytes that grow; re-used from message to message. */
export class ByteWriter {
  bytes: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  length = 0;

  reset(length = 0): void {
    this.room(length - this.length);
    this.length = length;
  }

  /** A view, good until the next write. */
  view(from = 0): Buffer {
    return this.bytes.subarray(from, this.length);
  }

  /** Makes room; after large messages a small buffer is taken again, so that one long list does not cost memory for ever. */
  shrink(aboveBytes: number): void {
    if (this.bytes.length > aboveBytes) this.bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
    this.length = 0;
  }

  u8(value: number): void {
    this.room(1);
    this.bytes[this.length++] = value;
  }

  /** Seven bits per byte, lowest first: lengths, counts, numbers of structs. */
  varint(value: number): void {
    this.room(8);
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.bytes[this.length++] = (rest % 128) | 128;
    this.bytes[this.length++] = rest;
  }

  int(value: number): void {
    invariant(Number.isSafeInteger(value), `${value} is no whole number that the wire can carry`);
    const magnitude = Math.abs(value);
    this.magnitude(Math.floor(magnitude / TWO_32), magnitude % TWO_32, value < 0 ? 1 : 0);
  }

  bigint(value: bigint): void {
    const magnitude = value < 0n ? -value : value;
    invariant(magnitude >> 63n === 0n, `${value} has more than 63 bits`);
    this.magnitude(Number(magnitude >> 32n), Number(magnitude & 0xffff_ffffn), value < 0n ? 1 : 0);
  }

  float(value: number): void {
    this.room(8);
    this.length = this.bytes.writeDoubleLE(value, this.length);
  }

  str(value: string): void {
    const bytes = Buffer.byteLength(value);
    this.varint(bytes);
    this.room(bytes);
    this.length += this.bytes.write(value, this.length, 'utf8');
  }

  raw(value: Uint8Array): void {
    this.varint(value.length);
    this.append(value);
  }

  append(value: Uint8Array): void {
    this.room(value.length);
    this.bytes.set(value, this.length);
    this.length += value.length;
  }

  /** Sign in the lowest bit of the first byte, six bits beside it, then seven bits per byte: small numbers take one byte, stamps nine. */
  private magnitude(high: number, low: number, sign: number): void {
    this.room(10);
    const { bytes } = this;
    let [hi, lo] = [high, low];
    let byte = ((lo & 63) << 1) | sign;
    lo = ((lo >>> 6) | (hi << 26)) >>> 0;
    hi = hi >>> 6;
    while (hi !== 0 || lo !== 0) {
      bytes[this.length++] = byte | 128;
      byte = lo & 127;
      lo = ((lo >>> 7) | (hi << 25)) >>> 0;
      hi = hi >>> 7;
    }
    bytes[this.length++] = byte;
  }

  private room(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(this.length + more)));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads what {@link ByteWriter} wrote, from bytes that nobody vouches for. Every method throws WIRE_PROTOCOL on nonsense. */
export class ByteReader {
  private at = 0;
  private bytes: Buffer;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  u8(): number {
    if (this.at >= this.bytes.length) throw protocolError('a message ends too early');
    return this.bytes[this.at++]!;
  }

  /** Up to 2^31. */
  varint(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 35; scale *= 128) {
      const byte = this.u8();
      value += (byte & 127) * scale;
      if (byte < 128) {
        if (value > 2 ** 31) break;
        return value;
      }
    }
    throw protocolError('a length or count is too large');
  }

  int(): number {
    const sign = this.u8Peek() & 1;
    const value = this.magnitude();
    if (this.top !== 0) {
      const whole = this.top * 2 ** 48 + value;
      if (!Number.isSafeInteger(whole)) throw protocolError('a number is too large');
      return sign === 1 ? -whole : whole;
    }
    // Not "-value" alone: that makes a negative zero of 0.
    return sign === 1 ? 0 - value : value;
  }

  bigint(): bigint {
    const sign = this.u8Peek() & 1;
    const low = this.magnitude();
    const value = this.top === 0 ? BigInt(low) : (BigInt(this.top) << 48n) | BigInt(low);
    return sign === 1 ? -value : value;
  }

  float(): number {
    return this.bytes.readDoubleLE(this.skip(8));
  }

  bool(): boolean {
    return this.u8() !== 0;
  }

  str(): string {
    const length = this.varint();
    const from = this.skip(length);
    const text = this.bytes.toString('utf8', from, from + length);
    // The fast decoder puts U+FFFD where the bytes are wrong; a text may also contain one rightfully.
    if (text.includes('\ufffd')) return this.strictly(from, length);
    return text;
  }

  /** A copy. */
  raw(): Uint8Array {
    const length = this.varint();
    const from = this.skip(length);
    return new Uint8Array(this.bytes.subarray(from, from + length));
  }

  /** @returns where the skipped bytes begin */
  skip(count: number): number {
    const from = this.at;
    if (count > this.left) throw protocolError('a message ends too early');
    this.at += count;
    return from;
  }

  /** Skips a number without looking at it. */
  skipInt(): void {
    for (let i = 0; i < 10; i++) if (this.u8() < 128) return;
    throw protocolError('a number is too long');
  }

  /** Number of items of a list. Each item takes at least one byte, so nobody can ask for more memory than he has sent. */
  count(): number {
    const count = this.varint();
    if (count > this.left) throw protocolError('a list is longer than its message');
    return count;
  }

  private top = 0;

  /** Bits 0…47 of the next number; those above are in `top`. */
  private magnitude(): number {
    let byte = this.u8();
    let low = (byte >> 1) & 63;
    let scale = 64;
    this.top = 0;
    // 6 + 6 × 7 = 48 bits, and then up to 15 more.
    for (let i = 0; byte >= 128 && i < 6; i++, scale *= 128) low += ((byte = this.u8()) & 127) * scale;
    scale = 1;
    for (let i = 0; byte >= 128 && i < 3; i++, scale *= 128) this.top += ((byte = this.u8()) & 127) * scale;
    if (byte >= 128 || this.top >= 2 ** 15) throw protocolError('a number is too long');
    return low;
  }

  private u8Peek(): number {
    return this.at < this.bytes.length ? this.bytes[this.at]! : 0;
  }

  private strictly(from: number, length: number): string {
    try {
      return strict.decode(this.bytes.subarray(from, from + length));
    } catch (cause) {
      throw new MarsError(ErrorCode.WIRE_PROTOCOL, 'a text is not UTF-8', { cause });
    }
  }
}

import { MAX_NAME_BYTES } from './protocol.js';

// fatal: names and queries are UTF-8 by definition, so anything else is malformed.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reader of the data of one option. Every method answers null for what does not fit, and never throws. */
export class OptionBody {
  private at = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.length;
  }

  get isAtEnd(): boolean {
    return this.at === this.bytes.length;
  }

  u16(): number | null {
    if (this.bytes.length - this.at < 2) return null;
    this.at += 2;
    return this.view.getUint16(this.at - 2);
  }

  u32(): number | null {
    if (this.bytes.length - this.at < 4) return null;
    this.at += 4;
    return this.view.getUint32(this.at - 4);
  }

  /** The next `length` bytes as text. */
  text(length: number): string | null {
    if (length > this.bytes.length - this.at || length > MAX_NAME_BYTES) return null;
    this.at += length;
    try {
      return utf8.decode(this.bytes.subarray(this.at - length, this.at));
    } catch {
      return null;
    }
  }

  /** Length (32 bits) and text. */
  string(): string | null {
    const length = this.u32();
    return length === null ? null : this.text(length);
  }

  /** Count (16 bits) and numbers of 16 bits. */
  u16List(): number[] | null {
    const count = this.u16();
    return count === null ? null : this.repeat(count, () => this.u16());
  }

  /** Count (32 bits) and strings. */
  stringList(): string[] | null {
    const count = this.u32();
    return count === null ? null : this.repeat(count, () => this.string());
  }

  private repeat<T>(count: number, read: () => T | null): T[] | null {
    const list: T[] = [];
    // The bytes run out long before a hostile count does.
    for (let i = 0; i < count; i++) {
      const item = read();
      if (item === null) return null;
      list.push(item);
    }
    return list;
  }
}

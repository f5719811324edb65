import { MAX_TRACE_LINES } from '../limits.js';

/**
 * What happened in a world, as a running 64-bit hash: two runs with one seed must end with the same one. With `isRecording`
 * every event is kept as a line too, to find the first one in which two runs differ.
 */
export class Trace {
  readonly lines: string[] = [];
  /** Lines beyond `MAX_TRACE_LINES` that were hashed only. */
  droppedLines = 0;
  events = 0;
  private a = 0x811c9dc5 | 0;
  private b = 0x9e3779b9 | 0;
  private readonly words = new Map<string, number>();

  constructor(private readonly isRecording: boolean) {}

  /** @param facts numbers that belong to the event: positions, lengths, digests */
  event(atNs: number, host: number, kind: string, ...facts: number[]): void {
    this.events++;
    this.mix(atNs % 2 ** 32);
    this.mix(Math.floor(atNs / 2 ** 32) ^ (host << 24));
    this.mix(this.word(kind));
    for (const fact of facts) this.number(fact);
    if (this.isRecording) this.record(atNs, host, kind, facts);
  }

  /** 16 hexadecimal digits. */
  get hash(): string {
    return hex(this.a) + hex(this.b);
  }

  private record(atNs: number, host: number, kind: string, facts: readonly number[]): void {
    if (this.lines.length >= MAX_TRACE_LINES) this.droppedLines++;
    else
      this.lines.push(
        `${(atNs / 1000).toFixed(3)} ${host < 0 ? 'world' : `host${host}`} ${kind} ${facts.join(' ')}`.trimEnd(),
      );
  }

  private number(n: number): void {
    this.mix(n % 2 ** 32);
    if (n >= 2 ** 32 || n < 0) this.mix(Math.floor(n / 2 ** 32));
  }

  private mix(n: number): void {
    this.a = Math.imul(this.a ^ n, 0x01000193);
    this.a ^= this.a >>> 15;
    this.b = (Math.imul(this.b, 0x85ebca6b) + this.a) | 0;
    this.b ^= this.b >>> 13;
  }

  private word(text: string): number {
    let hash = this.words.get(text);
    if (hash === undefined) {
      hash = textDigest(text);
      this.words.set(text, hash);
    }
    return hash;
  }
}

/** A 32-bit digest of a name. */
export function textDigest(text: string): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** A 32-bit digest of some bytes; looks at every 16th byte only, because it runs for every transfer of every run. */
export function bytesDigest(bytes: Uint8Array, from = 0, len = bytes.length - from): number {
  let hash = len | 0;
  for (let i = from; i < from + len; i += 16) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return hash >>> 0;
}

/** The first line in which two traces differ; `null` when they are equal. */
export function firstDivergence(
  one: readonly string[],
  other: readonly string[],
): { line: number; one: string; other: string } | null {
  const count = Math.max(one.length, other.length);
  for (let i = 0; i < count; i++) {
    if (one[i] !== other[i]) return { line: i + 1, one: one[i] ?? '(end)', other: other[i] ?? '(end)' };
  }
  return null;
}

function hex(n: number): string {
  return (n >>> 0).toString(16).padStart(8, '0');
}

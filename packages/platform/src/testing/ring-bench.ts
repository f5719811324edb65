import assert from 'node:assert/strict';
import { CQ_WORDS, IOV_WORDS, SQ_WORDS, type Ring, type RingSockets } from '@mars/brick-core';

/** What {@link describeRing} needs to know about the ring it tests. */
export interface RingUnderTest {
  ring: Ring;
  /** null: the socket operations are not tested. */
  sockets: RingSockets | null;
  /** A new, empty file, open for reading and writing; the maker removes it. */
  newFile(): Promise<number>;
  /** A name for a unix socket. */
  newSocketPath(): string;
  /** Whether FALLOCATE works here; else it must answer -EOPNOTSUPP. */
  canFallocate: boolean;
  /** Lets the world go on for a moment: a turn of the event loop, or a step of a simulation. */
  turn(): Promise<void>;
  close(): Promise<void>;
}

export interface OpFields {
  fd?: number;
  buf?: number;
  len?: number;
  pos?: number;
  flags?: number;
  tag?: number;
}

/** Turns without any completion after which an operation counts as hanging. */
const TURNS_MAX = 100_000;

/** A tidy way to describe raw operations and to collect results by tag. */
export class RingBench {
  readonly bytes: Buffer;
  private queued = 0;
  private nextTag = 1;
  private readonly results = new Map<number, number>();

  constructor(readonly under: RingUnderTest) {
    this.bytes = Buffer.from(under.ring.arena as ArrayBuffer);
  }

  get ring(): Ring {
    return this.under.ring;
  }

  /** Notes one operation down. @returns its tag */
  op(code: number, { fd = -1, buf = 0, len = 0, pos = 0, flags = 0, tag = this.nextTag++ }: OpFields = {}): number {
    const words = [code, fd, buf, len, pos | 0, Math.floor(pos / 2 ** 32) | 0, flags, tag];
    this.ring.sq.set(words, this.queued++ * SQ_WORDS);
    return tag;
  }

  /** Sets vector elements `[offset, length]` from `index` on. */
  spans(index: number, ...spans: [offset: number, length: number][]): void {
    spans.forEach((span, i) => this.ring.iov.set(span, (index + i) * IOV_WORDS));
  }

  /** One crossing, without waiting. @returns how many completed */
  tick(): number {
    const n = this.ring.tick(this.queued, 0);
    this.queued = 0;
    for (let i = 0; i < n; i++) {
      const tag = this.ring.cq[i * CQ_WORDS]!;
      assert.ok(!this.results.has(tag), `tag ${tag} completed twice`);
      this.results.set(tag, this.ring.cq[i * CQ_WORDS + 1]!);
    }
    return n;
  }

  /** Ticks until all of `tags` have completed. @returns their results, in that order */
  async wait(...tags: number[]): Promise<number[]> {
    for (let turns = 0; tags.some((tag) => !this.results.has(tag)); turns++) {
      assert.ok(turns < TURNS_MAX, `operations ${tags.join(', ')} never completed`);
      if (this.tick() === 0) await this.under.turn();
    }
    return tags.map((tag) => this.take(tag));
  }

  /** One operation from description to result. */
  async run(code: number, fields: OpFields = {}): Promise<number> {
    return (await this.wait(this.op(code, fields)))[0]!;
  }

  hasResult(tag: number): boolean {
    return this.results.has(tag);
  }

  /** Every result that nobody asked for. */
  get strays(): number {
    return this.results.size;
  }

  private take(tag: number): number {
    const result = this.results.get(tag)!;
    this.results.delete(tag);
    return result;
  }
}

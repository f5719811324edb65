import { drawNs, type Latency } from '../random.js';
import type { SeededRandom } from '@mars/brick-core';

export interface LinkOptions {
  /** One way. */
  latency: Latency;
  bytesPerSecond: number;
}

/** A good data centre network. */
export const DEFAULT_LINK: LinkOptions = {
  latency: { minUs: 50, maxUs: 200, tailRate: 0.01, tailUs: 2000 },
  bytesPerSecond: 1e9,
};

/** Two processes of one host. */
export const LOCAL_LINK: LinkOptions = { latency: { minUs: 5, maxUs: 20 }, bytesPerSecond: 4e9 };

/**
 * One direction between two hosts. Connections share its bandwidth; each segment draws its own latency, so connections
 * overtake each other while bytes within one never do.
 */
export class Link {
  /** Nothing passes; TCP keeps trying, so it waits and arrives after the cut is healed. */
  isCut = false;
  private freeNs = 0;
  private options: LinkOptions;

  constructor(
    readonly from: string,
    readonly to: string,
    private readonly random: SeededRandom,
    options: LinkOptions,
  ) {
    this.options = options;
  }

  set(options: Partial<LinkOptions>): void {
    this.options = { ...this.options, ...options };
  }

  /** Nothing leaves before that moment. */
  stallUntil(atNs: number): void {
    this.freeNs = Math.max(this.freeNs, atNs);
  }

  /** When something that is sent now has arrived. */
  arrivalNs(nowNs: number, bytes: number): number {
    const leaves = Math.max(nowNs, this.freeNs);
    this.freeNs = leaves + Math.ceil((bytes * 1e9) / this.options.bytesPerSecond);
    return this.freeNs + drawNs(this.options.latency, this.random);
  }

  /** Size of the next segment of so many bytes that wait, 1 … `most`. */
  segment(waiting: number, most: number): number {
    const longest = Math.min(waiting, most);
    // A quarter is cut anywhere, so that readers see frames in pieces; the others go as they were written.
    return this.random.int(4) === 0 ? 1 + this.random.int(longest) : longest;
  }
}

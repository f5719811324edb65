import type { BrickContext, Clock, Completer, FaultOwner, ObjectOwner, XioInput, XioObject } from '@mars/brick-core';

/** What the brick lends to its parts. */
export interface LoggerHouse {
  /** Owns the requests that the parts take. */
  readonly brick: ObjectOwner & FaultOwner & { readonly rank: number };
  readonly ctx: BrickContext;
  readonly clock: Clock;
  readonly data: XioInput;
  completer(complete: (o: XioObject) => void): Completer;
  /** Asks for one `endBatch` of the brick at the end of this tick. */
  plug(): void;
  /** Name of the brick in that slot of the log port, `''` = none: members of a family carry the serial in it. */
  providerName(nr: number): string;
}

import type { BrickBase } from '../brick/brick-base.js';
import type { Wire } from '../brick/wire.js';

/** All wires of the graph that end at this brick. */
export type ConsumersOf = (provider: BrickBase) => readonly Wire[];

export function allWires(brick: BrickBase): Wire[] {
  return [...brick.wires.values()].flat();
}

/** The first declared input; the only one of a filter. */
export function firstWire(brick: BrickBase): Wire | undefined {
  return [...brick.wires.values()][0]?.[0];
}

export function wireText(wire: Wire): string {
  return `${wire.consumer.name}.${wire.name}${wire.nr > 0 ? `[${wire.nr}]` : ''}`;
}

/** The bricks from `from` down to `to`, if `to` lies below (or is) `from`. */
export function pathBetween(from: BrickBase, to: BrickBase): BrickBase[] | undefined {
  if (from === to) return [from];
  for (const wire of allWires(from)) {
    const rest = wire.provider === null ? undefined : pathBetween(wire.provider, to);
    if (rest !== undefined) return [from, ...rest];
  }
  return undefined;
}

/** Wires on the longest way down. */
export function depthBelow(brick: BrickBase): number {
  return Math.max(0, ...allWires(brick).map((wire) => (wire.provider === null ? 0 : 1 + depthBelow(wire.provider))));
}

/** Gives every brick its rank: the number of wires on the longest way up, so 0 at the top. */
export function rankBricks(bricks: Iterable<BrickBase>, consumersOf: ConsumersOf): void {
  const depth = new Map<BrickBase, number>();
  const visit = (brick: BrickBase): number => {
    let rank = depth.get(brick);
    if (rank === undefined) {
      rank = Math.max(-1, ...consumersOf(brick).map((wire) => visit(wire.consumer))) + 1;
      depth.set(brick, rank);
    }
    return rank;
  };
  for (const brick of bricks) brick.rank = visit(brick);
}

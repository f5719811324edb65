import type { PlannedBrick, PlannedWire } from './types.js';

/** Names that wait for each other in a circle, in order, the first one again at the end; `null` when there is none. */
export function findCycle(names: readonly string[], below: (name: string) => readonly string[]): string[] | null {
  const done = new Set<string>();
  const way: string[] = [];
  const visit = (name: string): string[] | null => {
    if (done.has(name)) return null;
    if (way.includes(name)) return [...way.slice(way.indexOf(name)), name];
    way.push(name);
    for (const next of below(name)) {
      const cycle = visit(next);
      if (cycle !== null) return cycle;
    }
    way.pop();
    done.add(name);
    return null;
  };
  for (const name of names) {
    const cycle = visit(name);
    if (cycle !== null) return cycle;
  }
  return null;
}

/** Providers before consumers; otherwise as in the file. The wires form no cycle. */
export function providersFirst(bricks: readonly PlannedBrick[], wires: readonly PlannedWire[]): PlannedBrick[] {
  const byName = new Map(bricks.map((brick) => [brick.name, brick]));
  const ordered = new Set<PlannedBrick>();
  const visit = (brick: PlannedBrick): void => {
    if (ordered.has(brick)) return;
    for (const wire of wires) if (wire.consumer === brick.name) visit(byName.get(wire.provider)!);
    ordered.add(brick);
  };
  for (const brick of bricks) visit(brick);
  return [...ordered];
}

/** Bricks on the longest way from a top to an end, both included. */
export function longestWay(bricks: readonly PlannedBrick[], wires: readonly PlannedWire[]): number {
  const depth = new Map<string, number>();
  for (const brick of providersFirst(bricks, wires)) {
    const below = wires.filter((wire) => wire.consumer === brick.name).map((wire) => depth.get(wire.provider) ?? 0);
    depth.set(brick.name, 1 + Math.max(0, ...below));
  }
  return Math.max(0, ...depth.values());
}

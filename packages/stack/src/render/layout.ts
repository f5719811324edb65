import type { StackPlan } from '../plan/types.js';

/** Where a brick stands: rows from top (consumers) to bottom (ends), columns from left to right. */
export interface Placed {
  name: string;
  row: number;
  /** Centre, in units of one box. */
  x: number;
}

export interface Layout {
  placed: ReadonlyMap<string, Placed>;
  rows: number;
  columns: number;
}

/** Sweeps of the crossing reduction; the pictures are small, and more change nothing. */
const SWEEPS = 6;

/**
 * A layered layout: a brick stands below all its consumers; within a row, bricks are ordered by the average place of
 * their neighbours, which keeps wires short and crossings few.
 */
export function layoutOf(plan: StackPlan): Layout {
  const rowOf = rows(plan);
  const grid: string[][] = [];
  for (const { name } of plan.bricks) (grid[rowOf.get(name)!] ??= []).push(name);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const isDown = sweep % 2 === 0;
    for (const row of isDown ? grid : [...grid].reverse()) sortRow(row, neighbours(plan, isDown), indexIn(grid));
  }
  const columns = Math.max(1, ...grid.map((row) => row.length));
  const placed = new Map<string, Placed>();
  for (const [row, names] of grid.entries()) {
    const start = (columns - names.length) / 2;
    for (const [nr, name] of names.entries()) placed.set(name, { name, row, x: start + nr + 0.5 });
  }
  return { placed, rows: grid.length, columns };
}

/** Distance from the top; ends that stand higher than they must are pulled down to their consumers' row + 1. */
function rows(plan: StackPlan): Map<string, number> {
  const row = new Map<string, number>();
  for (const { name } of [...plan.bricks].reverse()) {
    const above = plan.wires.filter((wire) => wire.provider === name).map((wire) => row.get(wire.consumer)! + 1);
    row.set(name, Math.max(0, ...above));
  }
  return row;
}

type Neighbours = (name: string) => string[];

function neighbours(plan: StackPlan, isDown: boolean): Neighbours {
  return (name) =>
    isDown
      ? plan.wires.filter((wire) => wire.provider === name).map((wire) => wire.consumer)
      : plan.wires.filter((wire) => wire.consumer === name).map((wire) => wire.provider);
}

function indexIn(grid: readonly (readonly string[])[]): (name: string) => number {
  const at = new Map(grid.flatMap((row) => row.map((name, nr) => [name, (nr + 0.5) / row.length] as const)));
  return (name) => at.get(name)!;
}

function sortRow(row: string[], near: Neighbours, at: (name: string) => number): void {
  const weight = new Map(
    row.map((name) => {
      const places = near(name).map(at);
      return [name, places.length === 0 ? at(name) : places.reduce((sum, x) => sum + x, 0) / places.length] as const;
    }),
  );
  row.sort((a, b) => weight.get(a)! - weight.get(b)!);
}

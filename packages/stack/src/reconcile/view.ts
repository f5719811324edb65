import type { Led } from '@mars/brick-core';

/** What is: the bricks of a running stack as plain data, adaptors left out. */
export interface GraphView {
  bricks: ReadonlyMap<string, BrickView>;
}

export interface BrickView {
  name: string;
  type: string;
  /** Checked parameters with which it was built, live changes included. */
  values: Readonly<Record<string, unknown>>;
  led: Led;
  button: boolean;
  /** Switched off for good, after it threw. */
  forceOff: boolean;
  /** Stays although no plan names it any more. */
  keep: boolean;
  /** Every input; groups have one entry per slot. */
  wires: readonly WireView[];
}

export interface WireView {
  input: string;
  nr: number;
  isGroup: boolean;
  isOptional: boolean;
  /** The brick below, adaptors skipped; `null` = not wired. */
  provider: string | null;
  port: string;
  /** May a group slot be emptied while the consumer is on? */
  isIdle: boolean;
}

/** Wires that end at this brick, with the names of their consumers. */
export function consumersOf(view: GraphView, provider: string): { consumer: BrickView; wire: WireView }[] {
  return [...view.bricks.values()].flatMap((consumer) =>
    consumer.wires.filter((wire) => wire.provider === provider).map((wire) => ({ consumer, wire })),
  );
}

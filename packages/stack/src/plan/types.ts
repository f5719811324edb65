import type { SourcePlace } from '@mars/brick-core';
import type { Expression, FactValue } from '../expression/types.js';

/**
 * What a stack should be: bricks, wires and conditions. Plain data without secrets, so that it can be shown, compared,
 * stored and sent to a worker.
 */
export interface StackPlan {
  stack: string;
  about: string;
  world: 'real' | 'sim';
  /** Values of the variables; secrets are left out. */
  vars: Record<string, unknown>;
  /** Providers before consumers. */
  bricks: PlannedBrick[];
  wires: PlannedWire[];
  /** Name → brick and output that a remote client may open. */
  exports: Record<string, { brick: string; port: string }>;
  /** Variables without a value, when the caller allowed that (`checkStack`). */
  missing: string[];
}

export interface PlannedBrick {
  /** Unique in the stack; members of a family are called `family:key`. */
  name: string;
  /** Name in the stack file. */
  base: string;
  key: string | null;
  /** Canonical type name. */
  type: string;
  params: Record<string, ParamValue>;
  on: Condition;
  after: string[];
  adapt: 'auto' | 'never';
  keep: boolean;
  /** 0 = the brick's own default. */
  ioTimeoutMs: number;
  /** The overlay that brought it; `null` = the stack file. */
  overlay: string | null;
  place: SourcePlace | null;
}

/**
 * A parameter as written (`'64M'` stays a string; the brick's schema converts it), with variables filled in. What is
 * known only while the stack runs stays a {@link Late}.
 */
export type ParamValue = string | number | boolean | null | ParamValue[] | { [key: string]: ParamValue } | Late;

/** A value that is put together when the brick is built: texts, facts and secrets, joined; a single part keeps its type. */
export interface Late {
  $late: LatePart[];
}
export type LatePart = { text: string } | { fact: string } | { secret: string } | { missing: string };

export interface PlannedWire {
  consumer: string;
  input: string;
  /** Place among the members of a group port, in order of appearance; 0 for ordinary inputs. */
  nr: number;
  provider: string;
  port: string;
}

export type Condition =
  /** With consumers: while one of them is pressed; top bricks: always. */
  { kind: 'default' } | { kind: 'expression'; text: string; expression: Expression };

/** What a caller gives for variables. */
export type VarValues = Readonly<Record<string, unknown>>;
export type { FactValue };

export function isLate(value: ParamValue | undefined): value is Late {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && '$late' in value;
}

/** `logger.data`, as people write it. */
export function wireName(wire: Pick<PlannedWire, 'consumer' | 'input'>): string {
  return `${wire.consumer}.${wire.input}`;
}

import type { BrickStats, BrickStatus, Led } from '@mars/brick-core';
import type { Facts } from './expression/types.js';
import type { Overlay } from './plan/overlay.js';
import type { StackPlan } from './plan/types.js';

/**
 * A running stack, seen from outside. Arguments, results and events are plain data (they survive `structuredClone`), so
 * the stack may run in this loop or in a worker thread without its owner noticing. Source: architecture.md 3.
 */
export interface StackHandle {
  readonly name: string;
  status(): Promise<StackStatus>;
  /** Counters, histograms and facts per brick. */
  statistics(): Promise<Record<string, BrickStats>>;
  resetStatistics(): Promise<void>;
  /** Replaces the plan; what can stay stays. Resolves at once; the change goes on by itself. */
  apply(plan: StackPlan, secrets?: Record<string, string>): Promise<void>;
  /** Replaces the caller's facts. */
  setFacts(facts: Facts): Promise<void>;
  /** Presses or releases a brick by hand; `auto` gives it back to its condition. @throws MarsError NO_SUCH_BRICK */
  override(brick: string, power: 'on' | 'off' | 'auto'): Promise<void>;
  /** Sets a live parameter, written as in a stack file. @throws MarsError NO_SUCH_BRICK, LIVE_PARAMETER, BAD_PARAMETER */
  setParam(brick: string, param: string, value: unknown): Promise<void>;
  /** Puts filters on wires, under load; resolves when requests go through them. On an error everything is as before. */
  insert(overlay: Overlay): Promise<void>;
  /** Takes a filter off its wires, under load; resolves when it is gone. On an error everything is as before. */
  remove(filter: string): Promise<void>;
  /** Resolves when nothing is left to do for now; `problems` are the bricks that are not what they should be. */
  settled(): Promise<SettledReport>;
  /** Switches everything off, consumers first, and takes it apart. @throws MarsError DRAIN_STUCK after the time limit */
  close(options?: { timeoutMs?: number }): Promise<void>;
  /** @returns the end of the subscription */
  subscribe(listener: (event: StackEvent) => void): () => void;
}

export type StackEvent =
  | { kind: 'led'; brick: string; led: Led }
  | { kind: 'fact'; brick: string; name: string; value: string | number | boolean }
  | { kind: 'threw'; brick: string; message: string }
  | { kind: 'step'; text: string; failure: StackFailure | null }
  /** Nothing is left to do for now. */
  | { kind: 'settled'; problems: string[] }
  | { kind: 'closed' }
  /** The thread of the stack died: nothing follows, and every call is refused with this reason. */
  | { kind: 'died'; failure: StackFailure };

export interface StackFailure {
  code: string;
  message: string;
  hint: string | null;
}

export interface SettledReport {
  problems: { brick: string; why: string }[];
}

export interface StackStatus {
  stack: string;
  about: string;
  world: 'real' | 'sim';
  /** False while steps are under way. */
  isSettled: boolean;
  /** Consumers first. */
  bricks: StackBrickStatus[];
  facts: Record<string, string | number | boolean>;
  exports: Record<string, string>;
}

export interface StackBrickStatus extends BrickStatus {
  /** Name in the stack file; members of a family share it. */
  base: string;
  /** Where it comes from: the stack file, an overlay (or the command line), or capability negotiation. */
  origin: { kind: 'stack' } | { kind: 'overlay'; name: string } | { kind: 'adaptor' } | { kind: 'kept' };
  isBuilt: boolean;
  wanted: boolean;
  /** Set by hand, if it is. */
  byHand: 'on' | 'off' | null;
  /** Why it is not what it should be, or why it is off; `null` = all is well. */
  why: string | null;
  failure: StackFailure | null;
}

import type { LogLevel } from '@mars/platform';
import type { Facts, StackEvent, StackHandle, StackPlan } from '@mars/stack';
import type { ErrorData } from './error-data.js';

/** What the thread is given at its start; plain data, like everything here. */
export interface DataThreadStart {
  level: LogLevel;
  /** See `ThreadStackOptions`. */
  brickModules: readonly string[];
  ring: 'auto' | 'io_uring' | 'threads';
  spinUs: number;
  lockArena: boolean;
}

export interface OpenRequest {
  plan: StackPlan;
  secrets: Record<string, string>;
  facts: Facts;
}

/** Methods of a stack that travel; subscriptions do not: the thread sends every event, the owner hands them on. */
export type StackMethod = Exclude<keyof StackHandle, 'name' | 'subscribe'>;

export type StackCall =
  | { kind: 'open'; id: number; request: OpenRequest }
  | { kind: 'call'; id: number; method: StackMethod; args: unknown[] };

/** `seen`: so many further events were handed on. */
export type ToStack = StackCall | { kind: 'seen'; count: number };

export type FromStack =
  | { kind: 'answer'; id: number; value: unknown }
  | { kind: 'refusal'; id: number; error: ErrorData }
  | { kind: 'event'; event: StackEvent };

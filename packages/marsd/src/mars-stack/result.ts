import { createHash } from 'node:crypto';
import type { BrickStats } from '@mars/brick-core';
import { topsOf, type SettledReport, type StackPlan } from '@mars/stack';
import { formatBytes, formatCount, formatSeconds, formatUs } from './numbers.js';
import type { Stage } from './stage.js';
import { quantileUs, trafficOf } from './traffic.js';

/** Why a run came to its end. */
export type Ending = 'finished' | 'duration' | 'signal' | 'not-started' | 'threw' | 'stalled' | 'died';

/** What `run --json` prints last. With `world: sim` it depends on the seed and nothing else. */
export interface RunResult {
  ok: boolean;
  stack: string;
  world: 'real' | 'sim';
  ended: Ending;
  /** Over everything that the bricks counted, measured and published, and in a simulated world every event. */
  resultHash: string;
  requests: number;
  bytes: number;
  errors: number;
  /** Time on the clock of the stack's world, ms. */
  elapsedMs: number;
  vars: Record<string, unknown>;
  bricks: Record<string, { type: string } & BrickStats>;
  problems: string[];
}

export interface Outcome {
  stage: Stage;
  plan: StackPlan;
  ended: Ending;
  elapsedMs: number;
  statistics: Record<string, BrickStats>;
  report: SettledReport;
  /** Errors that bricks threw, and what the thread died of. */
  threw: string[];
}

export function resultOf({ stage, plan, ended, elapsedMs, statistics, report, threw }: Outcome): RunResult {
  const failedBricks = Object.entries(statistics).filter(([, stats]) => stats.facts.failed === true);
  const problems = [
    ...report.problems.map(({ brick, why }) => `${brick} is not on: ${why}`),
    ...failedBricks.map(([brick, stats]) => `${brick} failed: ${String(stats.facts.failure ?? 'see its counters')}`),
    ...threw,
    ...(ended === 'stalled'
      ? [`no request moved any more; look at the counters and at the last brick with requests under way`]
      : []),
  ];
  const traffic = trafficOf(statistics, topsOf(plan));
  const typeOf = new Map(plan.bricks.map((brick) => [brick.name, brick.type]));
  const bricks = Object.entries(statistics).map(
    ([name, stats]) => [name, { type: typeOf.get(name) ?? 'adaptor', ...stats }] as const,
  );
  return {
    ok: problems.length === 0,
    stack: plan.stack,
    world: stage.kind,
    ended,
    resultHash: hashOf([statistics, stage.traceHash()]),
    requests: traffic?.requests ?? 0,
    bytes: traffic?.bytes ?? 0,
    errors: traffic?.errors ?? 0,
    elapsedMs,
    vars: plan.vars,
    bricks: Object.fromEntries(bricks),
    problems,
  };
}

/** The result for people. */
export function summaryOf(result: RunResult, outcome: Outcome): string {
  const traffic = trafficOf(outcome.statistics, topsOf(outcome.plan));
  const seconds = result.elapsedMs / 1000;
  const rate =
    traffic === null || seconds === 0
      ? []
      : [`${formatCount(traffic.requests / seconds)} requests/s, ${formatBytes(traffic.bytes / seconds)}/s`];
  const errors = result.errors === 0 ? '' : `, ${formatCount(result.errors)} of them answered with an error`;
  const lines = [
    `${result.stack}: ${ENDINGS[result.ended]} after ${formatSeconds(result.elapsedMs)}${result.world === 'sim' ? ' of simulated time' : ''}`,
    ...(traffic === null
      ? []
      : [`  ${formatCount(traffic.requests)} requests, ${formatBytes(traffic.bytes)}${errors}`]),
    ...rate.map(
      (text) => `  ${text}, p50 ${formatUs(quantileUs(traffic!, 0.5))}, p99 ${formatUs(quantileUs(traffic!, 0.99))}`,
    ),
    `  result hash ${result.resultHash}`,
    ...result.problems.map((problem) => `  ✖ ${problem}`),
    result.ok ? '  no failure' : `  ${result.problems.length} ${result.problems.length === 1 ? 'failure' : 'failures'}`,
  ];
  return lines.join('\n');
}

const ENDINGS: Readonly<Record<Ending, string>> = {
  finished: 'finished',
  duration: 'stopped',
  signal: 'stopped on request',
  'not-started': 'could not start',
  threw: 'a brick threw an error',
  stalled: 'stood still',
  died: 'its thread died',
};

/** 16 hexadecimal digits over plain data, independent of the order of keys. */
function hashOf(data: unknown): string {
  return createHash('sha256').update(canonical(data)).digest('hex').slice(0, 16);
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(',')}}`;
}

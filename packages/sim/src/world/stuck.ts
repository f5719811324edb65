import { ErrorCode, MarsError } from '@mars/brick-core';
import { MAX_WAIT_LINES } from '../limits.js';
import type { World } from './world.js';

/**
 * The error of a world that does not come to its end, with what every host waits for:
 * ```
 * SIM_STUCK: the world stands still at 12.402 ms: nothing is left to happen
 *   a (up): disk: write /mars/log-1 (stuck)
 *   a (up): request 3: op write at 4096, under way
 *   b (down since 3.100 ms)
 * ```
 */
export function stuckReport(world: World, why: string): MarsError {
  const waits = Object.fromEntries(world.hosts.map((host) => [host.name, capped(host.waits())]));
  const lines = Object.entries(waits).flatMap(([host, list]) => list.map((text) => `  ${host}: ${text}`));
  return new MarsError(
    ErrorCode.SIM_STUCK,
    [`the world stands still at ${world.nowMs.toFixed(3)} ms: ${why}`, ...lines].join('\n'),
    {
      hint: 'Look at what the hosts wait for: a lost completion, stuck I/O that nobody releases, or a partition that never heals.',
      details: { seed: world.seed, virtualMs: world.nowMs, traceHash: world.traceHash, waits },
    },
  );
}

function capped(lines: readonly string[]): string[] {
  if (lines.length <= MAX_WAIT_LINES) return [...lines];
  return [...lines.slice(0, MAX_WAIT_LINES), `... and ${lines.length - MAX_WAIT_LINES} more`];
}

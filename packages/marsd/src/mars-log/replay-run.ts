import { container, composeServices, registerBricks, BRICKS, Graph, type Files } from '@mars/brick-core';
import { ioBricks } from '@mars/bricks-io';
import { DIGEST_ENGINE, ReplayBrick, type ReplayCounts } from '@mars/bricks-logger';
import type { UnverifiedRule } from '@mars/bricks-logger/log-format';
import { createPlatform, type Platform } from '@mars/platform';
import { digestEngine } from '../digest-engine.js';

export interface ReplayJob {
  log: string;
  disk: string;
  from: number;
  /** Exclusive; the end of the log when that is what it is. */
  to: number;
  unverified: UnverifiedRule;
}

export interface ReplayOutcome {
  /** As in transaction-log.md 3.5, `<code>[,<detail>[,0xBB]]`. */
  replayCode: string;
  /** Everything in front of it is durable on the disk. */
  minPos: number;
  counts: Readonly<ReplayCounts>;
}

/**
 * One replay, by the same bricks that run in the daemon:
 *
 * ```
 *   log-replay ──data──> aio (disk)
 *        └───────log───> aio (logfile, read only)
 * ```
 */
export class ReplayRun {
  private readonly platform: Platform;
  private readonly graph: Graph;
  private replayCode = '0';
  private settle!: () => void;
  private readonly ended = new Promise<void>((resolve) => (this.settle = resolve));

  constructor(
    files: Files,
    private readonly job: ReplayJob,
  ) {
    this.platform = createPlatform({ log: { level: 'error', destination: process.stderr } });
    const { loop, log } = this.platform;
    const host = composeServices(container.createChildContainer(), { ...this.platform, files });
    host.register(DIGEST_ENGINE, { useValue: digestEngine });
    registerBricks(host, [...ioBricks, ReplayBrick], 'mars-log');
    this.graph = new Graph({ name: 'mars-log', loop, host, registry: host.resolve(BRICKS), log });
    this.graph.onEvent((event) => {
      if (event.kind === 'fact' && event.name === 'replay-code') this.replayCode = event.value as string;
      if (event.kind === 'fact' && event.name === 'finished' && event.value === true) this.settle();
      if (event.kind === 'threw') this.settle();
    });
  }

  /** End of the last record that was applied so far. */
  get current(): number {
    return this.brick.replayer.current;
  }

  sleep(ms: number): Promise<void> {
    return this.platform.loop.sleep(ms);
  }

  async start(): Promise<void> {
    const { graph } = this;
    const { log, disk, from, to, unverified } = this.job;
    graph.add('disk', 'aio', { path: disk, grow: false });
    graph.add('log', 'aio', { path: log, readonly: true });
    graph.add('replay', 'log-replay', { start: from, end: to, unverified });
    graph.connect({ consumer: 'replay', input: 'data', nr: 0 }, 'disk');
    graph.connect({ consumer: 'replay', input: 'log', nr: 0 }, 'log');
    for (const name of ['disk', 'log', 'replay']) await graph.press(name);
  }

  /** Resolves when the replay has come to its end, or was stopped. */
  async outcome(): Promise<ReplayOutcome> {
    await this.ended;
    const { minPos, counts } = this.brick.replayer;
    return { replayCode: this.replayCode, minPos, counts };
  }

  /** Drains, flushes, and ends early. */
  async stop(): Promise<void> {
    await this.brick.replayer.stop();
  }

  async close(): Promise<void> {
    const { graph } = this;
    for (const name of graph.names().includes('replay') ? ['replay', 'log', 'disk'] : graph.names()) {
      await graph.release(name);
      await graph.destroy(name);
    }
    await this.platform.close();
  }

  private get brick(): ReplayBrick {
    return this.graph.get('replay') as ReplayBrick;
  }
}

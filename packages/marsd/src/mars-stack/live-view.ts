import { topsOf, type StackHandle, type StackPlan } from '@mars/stack';
import { formatBytes, formatCount, formatSeconds, formatUs } from './numbers.js';
import { Screen, wantsColour, type Terminal } from './screen.js';
import type { Stage } from './stage.js';
import { statusText } from './status-text.js';
import { quantileUs, since, trafficOf, type Traffic } from './traffic.js';
import { UiClock } from './ui-clock.js';

/** Between two pictures, ms: on a terminal, and as plain lines. */
const REDRAW_MS = 250;
const LINE_MS = 1000;

/** Shows a running stack: in place on a terminal, as a line per second elsewhere. */
export class LiveView {
  private readonly clock = new UiClock();
  private readonly screen: Screen;
  private readonly isInPlace: boolean;
  private before: { traffic: Traffic; atMs: number } = {
    traffic: { requests: 0, bytes: 0, errors: 0, buckets: [] },
    atMs: 0,
  };

  constructor(
    private readonly terminal: Terminal,
    private readonly stage: Stage,
    private readonly stack: StackHandle,
    private readonly plan: StackPlan,
  ) {
    this.screen = new Screen(terminal);
    this.isInPlace = terminal.isTTY === true;
  }

  start(): void {
    // A stack whose thread died has nothing to show any more; whoever runs it says why.
    this.clock.every(this.isInPlace ? REDRAW_MS : LINE_MS, () => this.show()).catch(() => this.stop());
  }

  /** A log line, without tearing the picture. */
  print(line: string): void {
    this.screen.print(line);
  }

  stop(): void {
    this.clock.stop();
    this.screen.clear();
  }

  private async show(): Promise<void> {
    const status = await this.stack.status();
    const statistics = await this.stack.statistics();
    const on = status.bricks.filter((brick) => brick.led === 'on').length;
    const line = `${this.rateLine(trafficOf(statistics, topsOf(this.plan)))}   ${on}/${status.bricks.length} on`;
    if (!this.isInPlace) return void this.terminal.write(`${line}\n`);
    const colour = wantsColour(this.terminal);
    const [, ...bricks] = statusText(status, colour).split('\n');
    const title = colour ? `\u001b[1m${status.stack}\u001b[0m` : status.stack;
    this.screen.draw([`${title}  ${line}`, ...bricks.map((text) => `  ${text}`), '  Ctrl-C stops it']);
  }

  private rateLine(traffic: Traffic | null): string {
    const atMs = this.stage.elapsedMs();
    const time = `${formatSeconds(atMs)}${this.stage.kind === 'sim' ? ' simulated' : ''}`;
    if (traffic === null) return time;
    const { before } = this;
    this.before = { traffic, atMs };
    if (atMs <= before.atMs) return time;
    const seconds = (atMs - before.atMs) / 1000;
    const now = since(traffic, before.traffic);
    const rates = `${formatCount(now.requests / seconds)} requests/s   ${formatBytes(now.bytes / seconds)}/s`;
    return `${time}   ${rates}   p50 ${formatUs(quantileUs(now, 0.5))}   p99 ${formatUs(quantileUs(now, 0.99))}`;
  }
}

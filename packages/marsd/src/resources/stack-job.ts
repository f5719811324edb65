import { BRICKS, causeText, type DependencyContainer, type Files, type Logger, type Loop } from '@mars/brick-core';
import {
  loadStack,
  openStack,
  type FactValue,
  type LoadedStack,
  type StackHandle,
  type StackSource,
  type VarValues,
} from '@mars/stack';
import { openStackInThread, type ThreadStack } from '../data-thread/open-stack-in-thread.js';
import { CLOSE_TIMEOUT_MS } from './limits.js';

/** What jobs need of the process. */
export interface JobHouse {
  loop: Loop;
  files: Files;
  log: Logger;
  /** Container of this process, composed. */
  host: DependencyContainer;
  /** Text and name of the template of that name, for a resource. */
  template(name: string, resource: string): StackSource;
  /** Something of a job has changed: look at it. */
  changed(): void;
  onLog(line: string): void;
}

export interface JobOptions {
  template: string;
  resource: string;
  vars: VarValues;
  /** In a thread of its own; else on the event loop, where the network is. */
  inThread: boolean;
}

/**
 * One stack that was made for one purpose and is thrown away afterwards. What its bricks publish is here to be read; when it fails, the
 * reason is here too, and nothing throws.
 */
export class StackJob {
  failure: string | null = null;
  /** Every brick that should be on is on. */
  isOn = false;
  isClosed = false;
  private stack: StackHandle | null = null;
  private thread: ThreadStack | null = null;
  private readonly facts = new Map<string, FactValue>();
  private readonly opening: Promise<void>;
  private closing: Promise<void> | null = null;

  constructor(
    private readonly house: JobHouse,
    private readonly options: JobOptions,
  ) {
    this.opening = this.open().catch((error: unknown) => this.failed(whole(error)));
  }

  fact(brick: string, name: string): FactValue | undefined {
    return this.facts.get(`${brick}.${name}`);
  }

  numbers(brick: string, name: string): number[] {
    return String(this.fact(brick, name) ?? '')
      .split(',')
      .filter((text) => text !== '')
      .map(Number);
  }

  /** Changes variables; what can stay stays. */
  async apply(vars: VarValues): Promise<void> {
    await this.opening;
    await this.stack?.apply(this.load(vars).plan);
  }

  async setParam(brick: string, param: string, value: unknown): Promise<void> {
    await this.opening;
    await this.stack?.setParam(brick, param, value).catch((error: unknown) => this.failed(whole(error)));
  }

  /** Switches everything off in order; what the bricks say last can still be read. May be called again. */
  close(): Promise<void> {
    this.closing ??= this.closeNow();
    return this.closing;
  }

  private async closeNow(): Promise<void> {
    await this.opening;
    try {
      await this.stack?.close({ timeoutMs: CLOSE_TIMEOUT_MS });
    } catch (error) {
      this.failed(whole(error));
    }
    await this.thread?.end().catch((error: unknown) => this.failed(whole(error)));
    this.isOn = false;
    this.isClosed = true;
    this.house.changed();
  }

  private load(vars: VarValues): LoadedStack {
    const { template, resource } = this.options;
    return loadStack([this.house.template(template, resource)], { registry: this.house.host.resolve(BRICKS), vars });
  }

  private async open(): Promise<void> {
    const { loop, host, log, onLog } = this.house;
    const loaded = this.load(this.options.vars);
    if (this.options.inThread) {
      this.thread = await openStackInThread(loaded.plan, { onLog });
      this.stack = this.thread;
    } else this.stack = openStack({ ...loaded, facts: {}, loop, host, registry: host.resolve(BRICKS), log });
    this.stack.subscribe((event) => {
      if (event.kind === 'fact') this.facts.set(`${event.brick}.${event.name}`, event.value);
      else if (event.kind === 'threw') this.failed(`brick "${event.brick}" failed: ${event.message}`);
      else if (event.kind === 'died') this.failed(event.failure.message);
      else if (event.kind === 'settled') return void this.check();
      this.house.changed();
    });
    await this.check();
  }

  private async check(): Promise<void> {
    const { stack } = this;
    if (stack === null || this.closing !== null) return;
    const { bricks, isSettled, facts } = await stack
      .status()
      .catch(() => ({ bricks: [], isSettled: false, facts: {} }));
    for (const [name, value] of Object.entries(facts)) this.facts.set(name, value);
    const failed = bricks.find((brick) => brick.failure !== null);
    if (failed !== undefined) this.failed(failed.failure!.message);
    this.isOn = isSettled && bricks.length > 0 && bricks.every((brick) => brick.led === 'on');
    this.house.changed();
  }

  private failed(why: string): void {
    if (this.failure === null) this.house.log.error({ stack: this.options.template, resource: this.options.resource, reason: why }, 'a stack failed'); // prettier-ignore
    this.failure ??= why;
    this.isOn = false;
    this.house.changed();
  }
}

/** With what is behind it: the outer text alone seldom says what to do. */
function whole(error: unknown): string {
  const inner = error instanceof Error && error.cause !== undefined ? `: ${causeText(error.cause)}` : '';
  return `${causeText(error)}${inner}`;
}

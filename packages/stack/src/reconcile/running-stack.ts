import {
  ErrorCode,
  Graph,
  MarsError,
  checkParams,
  didYouMean,
  silentLogger,
  type BrickRegistry,
  type BrickStats,
  type DependencyContainer,
  type GraphEvent,
  type Logger,
  type Loop,
} from '@mars/brick-core';
import type { FactValue, Facts } from '../expression/types.js';
import type { SettledReport, StackEvent, StackFailure, StackHandle, StackStatus } from '../handle.js';
import { MAX_STEPS_PER_BRICK, RETRY_MS_MAX, RETRY_MS_MIN, SCAN_INTERVAL_MS } from '../limits.js';
import { changedBricks, factsOfBrick } from '../plan/compare.js';
import { applyOverlay, withoutFilter, type Overlay } from '../plan/overlay.js';
import type { PlannedBrick, StackPlan } from '../plan/types.js';
import { Executor } from './executor.js';
import { asError, failureFrom } from './failure.js';
import { Redactor } from './redact.js';
import { renderStatus } from './status.js';
import { nextSteps, stepKey, stepText, type Step } from './steps.js';
import { computeTarget, type Target } from './target.js';
import type { GraphView } from './view.js';

export interface OpenOptions {
  plan: StackPlan;
  secrets?: Readonly<Record<string, string>>;
  facts?: Facts;
  loop: Loop;
  /** Container of the host: bricks resolve their services from a child of it. */
  host: DependencyContainer;
  registry: BrickRegistry;
  log?: Logger;
  /** How long a wire may take to drain before a change is given up, ms. */
  drainTimeoutMs?: number;
  /** How often bricks look at what tells nobody when it changes (their `round`), ms; 0 = only when the stack has news. */
  scanIntervalMs?: number;
}

/** Builds and starts a stack in this loop. It goes on by itself; `settled()` tells when it has come to rest. */
export function openStack(options: OpenOptions): StackHandle {
  return new RunningStack(options);
}

interface Failure {
  brick: string;
  failure: StackFailure;
}

/** A change of the plan by hand: put on top of every plan that is applied later. */
type Edit = { insert: Overlay } | { remove: string };

/**
 * A stack under reconciliation: again and again it compares what is (the graph) with what should be (plan, facts,
 * conditions, hands) and takes the steps that are possible. Steps of different bricks run side by side, because some
 * take long. Nothing is remembered that could not be found out by looking again, except failures: a step that failed
 * waits for the next retry, so that it cannot spin.
 */
class RunningStack implements StackHandle {
  private readonly graph: Graph;
  private readonly executor: Executor;
  private readonly listeners = new Set<(event: StackEvent) => void>();
  private readonly waiters = new Set<() => boolean>();
  private readonly busy = new Set<string>();
  private readonly failures = new Map<string, Failure>();
  private readonly power = new Map<string, 'on' | 'off'>();
  private readonly params = new Map<string, Record<string, unknown>>();
  private edits: Edit[] = [];
  private basePlan: StackPlan;
  private plan: StackPlan;
  private secrets: Readonly<Record<string, string>>;
  private redactor: Redactor;
  private facts: Facts;
  private watched = new Set<string>();
  private notes: ReadonlyMap<string, string> = new Map();
  private waitsForSlot = false;
  private state: 'running' | 'closing' | 'closed' = 'running';
  private isScheduled = false;
  private isSettled = false;
  private retryMs = RETRY_MS_MIN;
  private isRetryArmed = false;
  private stepsSinceRest = 0;
  private readonly log: Logger;

  constructor(private readonly options: OpenOptions) {
    const { plan, loop, host, registry, drainTimeoutMs = 30_000 } = options;
    this.log = (options.log ?? silentLogger).child({ stack: plan.stack });
    this.graph = new Graph({
      name: plan.stack,
      loop,
      host,
      registry,
      log: options.log ?? silentLogger,
      drainTimeoutMs,
    });
    this.executor = new Executor(this.graph);
    this.basePlan = this.plan = plan;
    this.secrets = options.secrets ?? {};
    this.redactor = new Redactor(this.secrets);
    this.facts = options.facts ?? {};
    this.setPlan(plan);
    this.graph.onEvent((event) => this.heard(event));
    this.schedule();
    this.scanLater();
  }

  get name(): string {
    return this.basePlan.stack;
  }

  async status(): Promise<StackStatus> {
    const view = this.viewNow();
    const { plan, graph, power, notes, facts, isSettled } = this;
    const failures = new Map([...this.failures.values()].map(({ brick, failure }) => [brick, failure]));
    return this.redactor.data(
      renderStatus({ plan, graph, view, target: this.targetOf(view), power, notes, failures, facts, isSettled }),
    );
  }

  async statistics(): Promise<Record<string, BrickStats>> {
    const stats = this.graph.names().map((name) => [name, this.graph.get(name).stats.snapshot()] as const);
    return this.redactor.data(Object.fromEntries(stats));
  }

  async resetStatistics(): Promise<void> {
    for (const name of this.graph.names()) this.graph.get(name).stats.reset();
  }

  async apply(plan: StackPlan, secrets?: Record<string, string>): Promise<void> {
    this.refuseWhenClosing();
    if (secrets !== undefined) {
      this.secrets = secrets;
      this.redactor = new Redactor(secrets);
    }
    this.setPlan(plan);
    this.wake();
  }

  async setFacts(facts: Facts): Promise<void> {
    this.refuseWhenClosing();
    this.facts = { ...facts };
    this.wake();
  }

  async override(brick: string, power: 'on' | 'off' | 'auto'): Promise<void> {
    this.refuseWhenClosing();
    this.planned(brick);
    if (power === 'auto') this.power.delete(brick);
    else this.power.set(brick, power);
    this.wake();
  }

  async setParam(brick: string, param: string, value: unknown): Promise<void> {
    this.refuseWhenClosing();
    this.checkLiveParam(this.planned(brick), param, value);
    const before = this.params.get(brick);
    this.params.set(brick, { ...before, [param]: value });
    this.wake();
    const key = stepKey({ do: 'param', brick, param, value });
    await this.until(() => this.failures.has(key) || this.hasRest(brick));
    const failed = this.failures.get(key);
    if (failed === undefined) return;
    if (before === undefined) this.params.delete(brick);
    else this.params.set(brick, before);
    this.wake();
    throw asError(failed.failure);
  }

  async insert(overlay: Overlay): Promise<void> {
    await this.edit({ insert: overlay });
  }

  async remove(filter: string): Promise<void> {
    const inserted = this.edits.find(
      (edit) => 'insert' in edit && edit.insert.inserts.some((one) => one.name === filter),
    );
    if (inserted === undefined) return this.edit({ remove: filter });
    if ('insert' in inserted && inserted.insert.inserts.length > 1) return this.edit({ remove: filter });
    return this.changeEdits(this.edits.filter((edit) => edit !== inserted));
  }

  async settled(): Promise<SettledReport> {
    await this.until(() => this.isSettled);
    const status = await this.status();
    const problems = status.bricks.filter((brick) => brick.wanted && brick.led !== 'on');
    return {
      problems: problems.map((brick) => ({ brick: brick.name, why: brick.failure?.message ?? brick.why ?? 'not yet' })),
    };
  }

  async close({ timeoutMs = 0 }: { timeoutMs?: number } = {}): Promise<void> {
    if (this.state === 'closed') return;
    this.state = 'closing';
    let isLate = false;
    if (timeoutMs > 0) {
      this.options.loop.after(timeoutMs, undefined, () => {
        isLate = true;
        this.wake();
      });
    }
    this.wake();
    await this.until(() => isLate || this.graph.names().length === 0 || (this.isSettled && this.failures.size > 0));
    const left = this.graph.names();
    if (left.length > 0) throw this.stuck(left, timeoutMs);
    if (this.isClosed()) return;
    this.state = 'closed';
    this.emit({ kind: 'closed' });
    this.listeners.clear();
  }

  subscribe(listener: (event: StackEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private isClosed(): boolean {
    return this.state === 'closed';
  }

  private refuseWhenClosing(): void {
    if (this.state === 'running') return;
    throw new MarsError(ErrorCode.BRICK_BUSY, `stack "${this.name}" is being closed`, { hint: 'Start it again.' });
  }

  private stuck(left: readonly string[], timeoutMs: number): MarsError {
    const held = left.filter((name) => this.graph.heldOf(this.graph.get(name)) > 0);
    const failed = [...this.failures.values()].map(({ failure }) => failure.message);
    const why =
      failed.length > 0 ? failed.join('; ') : `requests are still under way in ${held.join(', ') || 'nothing'}`;
    return new MarsError(
      ErrorCode.DRAIN_STUCK,
      `stack "${this.name}" did not close${timeoutMs > 0 ? ` within ${timeoutMs} ms` : ''}: ${why}`,
      {
        hint: `These bricks are still there: ${left.join(', ')}. Look at the lowest one.`,
      },
    );
  }

  private setPlan(base: StackPlan): void {
    let plan = base;
    const edits: Edit[] = [];
    for (const edit of this.edits) {
      try {
        plan = this.edited(plan, edit);
        edits.push(edit);
      } catch (error) {
        // The new plan has no such wire any more; what was put there by hand goes with it.
        this.log.warn({ err: error }, 'a change by hand does not fit the new plan and is dropped');
      }
    }
    this.basePlan = base;
    this.usePlan(plan, edits);
  }

  private usePlan(plan: StackPlan, edits: Edit[]): void {
    this.plan = plan;
    this.edits = edits;
    this.watched = new Set(plan.bricks.flatMap(factsOfBrick));
  }

  private edited(plan: StackPlan, edit: Edit): StackPlan {
    return 'insert' in edit ? applyOverlay(plan, edit.insert) : withoutFilter(plan, edit.remove, this.options.registry);
  }

  private edit(edit: Edit): Promise<void> {
    return this.changeEdits([...this.edits, edit]);
  }

  /** Changes what was put in or taken out by hand, and waits until requests go the new way. */
  private async changeEdits(edits: Edit[]): Promise<void> {
    this.refuseWhenClosing();
    const before = this.edits;
    const plan = edits.reduce((at, edit) => this.edited(at, edit), this.basePlan);
    const concerned = changedBricks(this.plan, plan);
    this.usePlan(plan, edits);
    this.wake();
    await this.until(() => this.failureOf(concerned) !== undefined || concerned.every((brick) => this.hasRest(brick)));
    const failed = this.failureOf(concerned);
    if (failed === undefined || this.edits !== edits) return;
    const back = before.reduce((at, edit) => this.edited(at, edit), this.basePlan);
    this.usePlan(back, before);
    this.wake();
    await this.until(() => concerned.every((brick) => this.hasRest(brick)));
    throw asError(failed);
  }

  private failureOf(bricks: readonly string[]): StackFailure | undefined {
    return [...this.failures.values()].find(({ brick }) => bricks.includes(brick))?.failure;
  }

  /** Nothing is under way or possible for this brick. */
  private hasRest(brick: string): boolean {
    if (this.busy.has(brick) || this.isScheduled) return false;
    return !this.pendingSteps(new Set()).some((step) => step.brick === brick);
  }

  private pendingSteps(blocked: ReadonlySet<string>): Step[] {
    const view = this.viewNow();
    return nextSteps(view, this.targetOf(view), this.busy, blocked).steps;
  }

  private planned(name: string): PlannedBrick {
    const found = this.plan.bricks.find((brick) => brick.name === name);
    if (found !== undefined) return found;
    throw new MarsError(ErrorCode.NO_SUCH_BRICK, `there is no brick "${name}" in stack "${this.name}"`, {
      hint: didYouMean(
        name,
        this.plan.bricks.map((brick) => brick.name),
      ),
    });
  }

  private checkLiveParam({ name, type }: PlannedBrick, param: string, value: unknown): void {
    const { meta } = this.options.registry.get(type);
    const checked = checkParams({ ...meta.params, required: [] }, { [param]: value });
    if (!checked.ok) {
      const { message, hint } = checked.problems[0]!;
      throw new MarsError(
        ErrorCode.BAD_PARAMETER,
        `brick "${name}" (${type}): ${message}`,
        hint === undefined ? {} : { hint },
      );
    }
    if (meta.live.includes(param)) return;
    throw new MarsError(ErrorCode.LIVE_PARAMETER, `"${param}" of ${type} cannot be changed while it runs`, {
      hint: meta.live.length === 0 ? 'This type has no live parameters.' : `Live parameters: ${meta.live.join(', ')}.`,
    });
  }

  /** Something that a person or the strategy said: what failed before is worth another try. */
  private wake(): void {
    this.failures.clear();
    this.stepsSinceRest = 0;
    this.retryMs = RETRY_MS_MIN;
    this.schedule();
  }

  private schedule(): void {
    this.isSettled = false;
    if (this.isScheduled) return;
    this.isScheduled = true;
    // Not inside the callback that brought the news (style.md 8).
    void Promise.resolve().then(() => {
      // What the bricks find out now is news for this round; it need not, and must not, ask for another one.
      this.graph.round();
      this.isScheduled = false;
      this.round();
    });
  }

  private round(): void {
    const view = this.viewNow();
    const target = this.targetOf(view);
    const { steps, notes, waitsForSlot } = nextSteps(view, target, this.busy, new Set(this.failures.keys()));
    this.notes = notes;
    this.waitsForSlot = waitsForSlot;
    const isFlapping =
      this.stepsSinceRest + steps.length > MAX_STEPS_PER_BRICK * Math.max(view.bricks.size, this.plan.bricks.length);
    if (isFlapping)
      this.log.error(
        { steps: steps.map(stepText) },
        'the conditions of this stack switch each other on and off without end',
      );
    else for (const step of steps) this.start(step, target);
    if (this.busy.size === 0) this.rest(isFlapping);
    for (const isDone of [...this.waiters]) if (isDone()) this.waiters.delete(isDone);
  }

  private start(step: Step, target: Target): void {
    this.busy.add(step.brick);
    this.stepsSinceRest++;
    const planned = this.plan.bricks.find((brick) => brick.name === step.brick);
    void this.attempt(step, planned, target).then((failure) => {
      this.busy.delete(step.brick);
      if (failure === null) this.failures.delete(stepKey(step));
      else this.failures.set(stepKey(step), { brick: step.brick, failure });
      this.emit({ kind: 'step', text: stepText(step), failure });
      this.schedule();
    });
  }

  private async attempt(step: Step, planned: PlannedBrick | undefined, target: Target): Promise<StackFailure | null> {
    try {
      await this.executor.run(step, planned, target);
      this.log.debug({ step: stepText(step) }, 'step done');
      return null;
    } catch (error) {
      if (error instanceof Error && error.name === 'InvariantError') throw error;
      const failure = this.redactor.data(failureFrom(error));
      this.log.warn(
        { step: stepText(step), code: failure.code, reason: failure.message, retryMs: this.retryMs },
        'a step failed and is tried again',
      );
      return failure;
    }
  }

  private rest(isFlapping: boolean): void {
    if (!this.isSettled) {
      this.isSettled = true;
      this.emit({
        kind: 'settled',
        problems: [...this.notes.keys(), ...[...this.failures.values()].map(({ brick }) => brick)],
      });
    }
    if (!isFlapping) this.stepsSinceRest = 0;
    // Slots of groups become idle without telling anybody, so they are asked again from time to time.
    if (this.failures.size > 0 || this.waitsForSlot || isFlapping) this.armRetry();
    else this.retryMs = RETRY_MS_MIN;
  }

  private armRetry(): void {
    if (this.isRetryArmed || this.state === 'closed') return;
    this.isRetryArmed = true;
    this.options.loop.after(this.retryMs, undefined, () => {
      this.isRetryArmed = false;
      if (this.state === 'closed') return;
      this.retryMs = Math.min(2 * this.retryMs, RETRY_MS_MAX);
      this.failures.clear();
      this.stepsSinceRest = 0;
      this.schedule();
    });
  }

  private scanLater(): void {
    const { scanIntervalMs = SCAN_INTERVAL_MS, loop } = this.options;
    if (scanIntervalMs > 0) loop.after(scanIntervalMs, undefined, this.scan);
  }

  /** What the bricks find out makes a round like any other news; without news there is none, so a stack at rest stays at rest. */
  private readonly scan = (): void => {
    if (this.state !== 'running') return;
    this.graph.round();
    this.scanLater();
  };

  /** While it is closed, nothing is kept. */
  private viewNow(): GraphView {
    const view = this.executor.view();
    if (this.state === 'running') return view;
    return { bricks: new Map([...view.bricks].map(([name, brick]) => [name, { ...brick, keep: false }])) };
  }

  private targetOf(view: GraphView): Target {
    if (this.state !== 'running') return { bricks: new Map() };
    const { plan, facts, secrets, power, params } = this;
    const published = (brick: string, fact: string): FactValue | undefined => this.graph.get(brick).stats.fact(fact);
    return computeTarget({
      plan,
      view,
      facts,
      published,
      secrets,
      byHand: { power, params },
      registry: this.options.registry,
    });
  }

  private heard(event: GraphEvent): void {
    this.emit(this.redactor.data(event));
    if (event.kind === 'fact' && !this.watched.has(`${event.brick}.${event.name}`)) return;
    this.schedule();
  }

  private emit(event: StackEvent): void {
    for (const listener of [...this.listeners]) listener(event);
  }

  private until(isTrue: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const isDone = (): boolean => {
        const done = isTrue();
        if (done) resolve();
        return done;
      };
      if (!isDone()) this.waiters.add(isDone);
    });
  }
}

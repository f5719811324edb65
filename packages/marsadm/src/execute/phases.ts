import { isMarsError } from '@mars/brick-core';
import { paths } from '@mars/mars-tree';
import type { Command, Phase } from '../commands/command.js';
import { Dying, EXIT_FAILED, EXIT_TIMEOUT, TimedOut, type ExitStatus } from '../exit.js';
import { LOOP_MS } from '../limits.js';
import { humanNumber } from '../facts/view-text.js';
import { Job } from './job.js';
import type { Session } from './session.js';

/**
 * Two-phase execution: every phase is carried out for all resources before the next one starts, so that `primary all` first switches
 * everything and then waits for everything. A resource that failed is left out of the rest; the others go on. Source: marsadm.md 4.3
 */
export async function runPhases(session: Session, command: Command, jobs: readonly Job[]): Promise<void> {
  const runner = new PhaseRunner(session, command, jobs);
  // A phase for all resources together, in front, is number 0: the others keep the numbers of the original.
  let number = command.phases[0]?.isGlobal ? 0 : 1;
  for (const phase of command.phases) {
    if (!(await runner.run(phase, number++))) return;
  }
}

class PhaseRunner {
  private readonly isList: boolean;

  constructor(
    private readonly session: Session,
    private readonly command: Command,
    private readonly jobs: readonly Job[],
  ) {
    const { resources } = session.line;
    this.isList = resources !== null && (resources.length > 1 || resources[0] === 'all');
  }

  /** @returns false when the command ends here */
  async run(phase: Phase, number: number): Promise<boolean> {
    const jobs = this.alive().filter((job) => phase.when?.(job) ?? true);
    if (jobs.length === 0) return this.alive().length > 0; // all of them leave this phase out
    this.announce(phase, number);
    await this.maybeStep();
    this.maybeInject(number);
    const concerned = phase.isGlobal ? jobs.slice(0, 1) : jobs;
    if (!phase.isLoop) await this.once(phase, concerned);
    else if (!(await this.loop(phase, concerned))) return false;
    return this.alive().length > 0;
  }

  private alive(): Job[] {
    return this.jobs.filter(({ resource }) => !this.session.failed.has(resource));
  }

  private announce({ title, isGlobal }: Phase, number: number): void {
    if (this.command.phases.length < 2) return;
    this.session.out.say(`-------- ${isGlobal ? 'GLOBAL ' : ''}PHASE ${number} -------- ${title}:`);
  }

  private async maybeStep(): Promise<void> {
    const { options, world } = this.session;
    if (options.singlestep === 0) return;
    if (!world.host.isInteractive) throw new Dying('--singlestep needs a terminal');
    await world.host.ask('Press RETURN to go on ');
  }

  private maybeInject(number: number): void {
    const wanted = this.session.options.errorInjectionPhase;
    if (wanted > 0 && wanted === number) throw new Dying(`error injected in phase ${wanted}`);
  }

  /** @returns jobs that said "not yet" */
  private async once(phase: Phase, jobs: readonly Job[], isRepeated = false): Promise<Job[]> {
    const { out, tree } = this.session;
    const waiting: Job[] = [];
    for (const job of jobs) {
      out.resource = job.resource === '' ? null : job.resource;
      if (this.isList && !phase.isGlobal && !isRepeated) this.separate(job);
      const mark = tree.mark();
      try {
        if ((await phase.run(job)) === 'not yet') waiting.push(job);
      } catch (error) {
        tree.rollback(mark);
        this.failed(job, error);
        await this.abort([job]);
      }
    }
    out.resource = null;
    await tree.flush();
    return waiting;
  }

  /** Its own clock: `--timeout` for each LOOP phase. @returns false when the condition was not reached */
  private async loop(phase: Phase, jobs: readonly Job[]): Promise<boolean> {
    const { session } = this;
    const timeoutMs = session.options.timeout < 0 ? Infinity : session.options.timeout * 1000;
    let waiting = await this.once(phase, jobs);
    for (let spentMs = 0; waiting.length > 0; spentMs += LOOP_MS) {
      if (session.dryRun) {
        session.out.say(`DRY_RUN: would wait until '${phase.title}' is reached`);
        return true;
      }
      if (spentMs >= timeoutMs) {
        this.notReached(phase, waiting);
        await this.abort(this.alive());
        return false;
      }
      await this.pause(Math.min(LOOP_MS, timeoutMs - spentMs));
      for (const job of waiting) job.look();
      waiting = await this.once(phase, waiting, true);
    }
    return true;
  }

  /** Somebody may press Ctrl-C in the middle of a handover. */
  private async pause(ms: number): Promise<void> {
    try {
      await this.session.sleep(ms);
    } catch (error) {
      await this.abort(this.alive());
      throw error;
    }
  }

  private notReached({ title }: Phase, waiting: readonly Job[]): void {
    const { session } = this;
    const names = waiting.map(({ resource }) => resource).join(',');
    session.out.warn(`Condition '${title}' for resources '${names}' not reached within ${session.options.timeout} s`);
    session.fail(EXIT_TIMEOUT);
  }

  private async abort(jobs: readonly Job[]): Promise<void> {
    for (const job of jobs) {
      this.session.out.resource = job.resource;
      await this.command.abort?.(job);
    }
    this.session.out.resource = null;
  }

  private failed(job: Job, error: unknown): void {
    const status = reportFailure(this.session, error);
    this.session.out.say(`FAILURE cmd='${job.command}' res='${job.resource}'`);
    this.session.failed.set(job.resource, error instanceof Error ? error.message : String(error));
    this.session.fail(status);
  }

  private separate({ resource }: Job): void {
    const { out, snapshot, host } = this.session;
    if (resource === '' || (this.command.isQuiet && out.verbose === 0)) return;
    out.say(separatorLine(snapshot, resource, host));
  }
}

/** `--------- resource R SIZE [k/n]`; scripts read the third field as the name. Source: marsadm.md 4.1, macros.md 5.1 */
export function separatorLine(snapshot: Session['snapshot'], resource: string, host: string): string {
  const kind = snapshot.value(paths.data(resource, host)) === null ? 'guest' : 'resource';
  const size = Number.parseInt(snapshot.value(paths.size(resource)) ?? '', 10);
  const counts = `[${snapshot.members(resource).length}/${snapshot.hosts().length}]`;
  return `--------- ${kind} ${resource} ${Number.isNaN(size) ? '' : `${humanNumber(size)} `}${counts}`;
}

/** Says why, in the tokens of marsadm.md 4.1. @returns exit status. Our own mistakes are thrown on */
export function reportFailure({ out }: Pick<Session, 'out'>, error: unknown): ExitStatus {
  if (error instanceof Dying) {
    if (error instanceof TimedOut && error.message === 'Timeout') out.warn('Timeout reached. Continuing anyway.');
    out.dying(error.message);
    for (const hint of error.hints) out.hint(hint);
    return error.exitStatus;
  }
  if (!isMarsError(error)) throw error;
  out.dying(error.message);
  if (error.hint !== undefined) out.hint(error.hint);
  return EXIT_FAILED;
}

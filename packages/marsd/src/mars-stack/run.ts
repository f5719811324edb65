import { ErrorCode, MarsError, parseUnit } from '@mars/brick-core';
import { RealFiles, onSignal } from '@mars/platform';
import { ThisHost } from '@mars/platform/command-line';
import { loadStack, topsOf, type LoadedStack, type SettledReport, type StackHandle, type VarValues } from '@mars/stack';
import type { BrickNetworkOptions } from '../brick-network/brick-network.js';
import { allBrickTypes, type BrickPackage } from '../compose.js';
import { installedPackages } from '../plugins/installed.js';
import { markBlockServer } from './block-server.js';
import { listenForControl, type ControlServer } from './control/server.js';
import { EXIT_FAILED, EXIT_GOOD, type ExitCode } from './exit.js';
import { parseFacts, parsePairs, readSources, readText } from './inputs.js';
import { KeptLogs } from './kept-logs.js';
import { LiveView } from './live-view.js';
import { resultOf, summaryOf, type Ending, type Outcome } from './result.js';
import type { Terminal } from './screen.js';
import { openStage, type Stage } from './stage.js';
import { trafficOf } from './traffic.js';

export interface RunOptions {
  file: string;
  set: string[];
  secret: string[];
  fact: string[];
  overlay: string[];
  stack?: string | undefined;
  world?: 'real' | 'sim' | undefined;
  seed?: number | undefined;
  duration?: string | undefined;
  json: boolean;
  quiet: boolean;
  verbose: boolean;
  ctl: boolean;
  inProcess: boolean;
  blockServer: boolean;
  host?: string | undefined;
  mars?: string | undefined;
  insecure: boolean;
  listen: string[];
}

/** How long requests under way may take to come back when the stack is stopped, ms. */
const CLOSE_TIMEOUT_MS = 30_000;

/** A simulated stack whose top bricks count nothing for so long has come to a standstill, simulated ms. */
const STALL_MS = 10 * 60_000;

/** `mars-stack run`: loads, starts, watches, ends. Nothing is started when the input is not right. */
export async function run(options: RunOptions): Promise<ExitCode> {
  const plugins = await installedPackages();
  const reload = loader(options, plugins);
  const loaded = reload({});
  const durationMs = durationOf(options);
  const out: Terminal = process.stdout;
  let view: LiveView | null = null;
  const logTo = {
    write: (line: string): void => (view === null ? void process.stderr.write(line) : view.print(line.trimEnd())),
  };
  // First of all: threads inherit it.
  if (options.blockServer) markBlockServer((text) => process.stderr.write(`${text}\n`));
  const stage = openStage({
    kind: options.world ?? loaded.plan.world,
    seed: seedOf(options, loaded),
    logTo,
    verbose: options.verbose,
    plugins,
    inProcess: options.inProcess,
    blockServer: options.blockServer,
    network: networkOf(options),
  });
  try {
    const stack = await stage.open(loaded, parseFacts(options.fact));
    const running = new Running(stage, stack, loaded, KeptLogs.of(loaded, stage, stack, reload));
    if (!options.json && !options.quiet) view = new LiveView(out, stage, stack, loaded.plan);
    const outcome = await running.toItsEnd({
      durationMs,
      view,
      ctl: options.ctl,
      warn: (text) => process.stderr.write(`${text}\n`),
    });
    const result = resultOf(outcome);
    out.write(options.json ? `${JSON.stringify(result)}\n` : `${summaryOf(result, outcome)}\n`);
    return result.ok ? EXIT_GOOD : EXIT_FAILED;
  } finally {
    view?.stop();
    await stage.close();
  }
}

/** Reads the files once; what it returns makes a plan of them, with the given values in place of those of the command line. */
function loader(options: RunOptions, plugins: readonly BrickPackage[]): (others: VarValues) => LoadedStack {
  const files = new RealFiles();
  const sources = readSources(files, [options.file, ...options.overlay]);
  const secrets = Object.entries(parsePairs(options.secret, '--secret key=FILE')).map(([name, file]) => [
    name,
    readText(files, file).trimEnd(),
  ]);
  const vars = {
    ...parsePairs(options.set, '--set seed=7'),
    ...(Object.fromEntries(secrets) as Record<string, string>),
  };
  const common = {
    registry: allBrickTypes(plugins),
    facts: Object.keys(parseFacts(options.fact)),
    ...(options.stack === undefined ? {} : { stack: options.stack }),
  };
  return (others) => loadStack(sources, { ...common, vars: { ...vars, ...others } });
}

function durationOf({ duration }: RunOptions): number | null {
  if (duration === undefined) return null;
  const ms = parseUnit(duration, 'ms');
  if (ms !== undefined && ms > 0) return ms;
  throw new MarsError(ErrorCode.USAGE, `--duration is "${duration}"`, {
    hint: 'Write a duration like 250ms, 20s, 5m or 1h.',
  });
}

/** The first port of the cluster (decided.md, *Paths and environment*). */
const DEFAULT_PORT = 7777;

/** Without a word about the network there is none; then the stack has a thread and a ring of its own. */
function networkOf({ host, mars, insecure, listen }: RunOptions): BrickNetworkOptions | null {
  if (mars === undefined && !insecure && listen.length === 0) return null;
  const basePort = Number(process.env['MARS_PORT'] ?? DEFAULT_PORT);
  return {
    host: host ?? process.env['MARS_HOST'] ?? new ThisHost().nodeName().split('.')[0]!,
    mars: mars ?? null,
    insecure,
    listen,
    basePort,
  };
}

/** The seed of the simulated world: `--seed`, else the variable `seed` of the stack, else 1. */
function seedOf({ seed }: RunOptions, { plan }: LoadedStack): number {
  const wanted = seed ?? (typeof plan.vars.seed === 'number' ? plan.vars.seed : 1);
  if (Number.isSafeInteger(wanted) && wanted >= 0) return wanted;
  throw new MarsError(ErrorCode.USAGE, `the seed is ${wanted}`, { hint: 'A seed is a whole number from 0 on.' });
}

interface WatchOptions {
  durationMs: number | null;
  view: LiveView | null;
  ctl: boolean;
  warn: (text: string) => void;
}

class Running {
  /** Bricks with an end of their own (`load`), and whether they have come to it. */
  private readonly jobs = new Map<string, boolean>();
  private readonly threw: string[] = [];
  private isOver = false;
  private isDead = false;
  private end!: (ending: Ending) => void;
  private readonly ended = new Promise<Ending>((resolve) => {
    this.end = (ending) => {
      this.isOver = true;
      resolve(ending);
    };
  });

  constructor(
    private readonly stage: Stage,
    private readonly stack: StackHandle,
    private readonly loaded: LoadedStack,
    private readonly logs: KeptLogs | null,
  ) {
    stack.subscribe((event) => {
      if (event.kind === 'threw') this.noteThrown(event.brick, event.message);
      if (event.kind === 'died') this.noteDeath(event.failure.message);
      if (event.kind === 'fact' && event.name === 'finished') this.noteJob(event.brick, event.value === true);
    });
  }

  async toItsEnd({ durationMs, view, ctl, warn }: WatchOptions): Promise<Outcome> {
    const { stage, stack } = this;
    const ignoreSignals = onSignal(['SIGINT', 'SIGTERM'], () => this.end('signal'));
    const control = ctl && stage.platform !== null ? await this.openControl(warn) : null;
    try {
      view?.start();
      if (durationMs !== null) void stage.sleep(durationMs).then(() => this.end('duration'));
      const ending = await this.orDeath(this.watch(durationMs !== null), 'died');
      const elapsedMs = stage.elapsedMs();
      const report = await this.orDeath(this.stopTops(ending), { problems: [] });
      const statistics = await this.orDeath(stack.statistics(), {});
      const { plan } = this.loaded;
      view?.stop();
      await control?.close();
      await this.orDeath(this.close(), undefined);
      const ended = this.isDead ? 'died' : ending;
      return { stage, plan, ended, elapsedMs, statistics, report, threw: this.threw };
    } catch (error) {
      // Nothing is left to be driven by a view or a client; what is there goes off in order all the same.
      await this.close().catch(() => {});
      throw error;
    } finally {
      ignoreSignals();
    }
  }

  /** A dead stack refuses everything; it has said why, and what remains is to sum up. */
  private async orDeath<T>(work: Promise<T>, instead: T): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (this.isDead) return instead;
      throw error;
    }
  }

  private close(): Promise<void> {
    const { stage, stack, logs } = this;
    const closeStack = (): Promise<void> => stack.close({ timeoutMs: CLOSE_TIMEOUT_MS });
    return stage.drive(logs === null ? closeStack() : logs.close(closeStack));
  }

  /** Until the logs are recovered; the stack has nothing to show before. */
  private async recoverLogs(): Promise<Ending | null> {
    if (this.logs === null) return null;
    const started = this.logs.start().then(() => null);
    // When it is ended first, the start fails later, and nobody cares any more.
    started.catch(() => {});
    return this.stage.drive(Promise.race([started, this.ended]));
  }

  /** Until the stack is ready, and then until it ends. */
  private async watch(hasLimit: boolean): Promise<Ending> {
    const { stage, stack } = this;
    const early = await this.recoverLogs();
    if (early !== null) return early;
    const ready = await stage.drive(Promise.race([stack.settled(), this.ended]));
    if (typeof ready === 'string') return ready;
    // A brick that could not start in the first place will not heal while somebody looks at a demo.
    const status = await stack.status();
    if (status.bricks.some((brick) => brick.failure !== null)) return 'not-started';
    if (stage.kind === 'sim' && this.jobs.size === 0 && !hasLimit) throw neverEnds(this.loaded.plan.stack);
    if (stage.kind === 'sim') void this.watchForStall();
    return stage.drive(this.ended);
  }

  /** Timers can keep a simulated world busy for ever while no request moves; people should not have to wait for that. */
  private async watchForStall(): Promise<void> {
    for (let before = ''; !this.isOver;) {
      const counted = trafficOf(await this.stack.statistics(), topsOf(this.loaded.plan));
      if (counted === null) return;
      const traffic = JSON.stringify(counted);
      if (traffic === before) return this.end('stalled');
      before = traffic;
      await this.stage.sleep(STALL_MS);
    }
  }

  /** Top bricks first come to rest, so that what they count and publish is complete. */
  private async stopTops(ended: Ending): Promise<SettledReport> {
    const { stage, stack } = this;
    const report = ended === 'not-started' ? await stage.drive(stack.settled()) : { problems: [] };
    for (const top of topsOf(this.loaded.plan)) await stack.override(top, 'off');
    await stage.drive(stack.settled());
    return report;
  }

  private async openControl(warn: (text: string) => void): Promise<ControlServer | null> {
    try {
      return await listenForControl(this.stage.platform!, this.stack, this.stage.registry, () => this.end('signal'));
    } catch (error) {
      warn(`no control socket: ${error instanceof Error ? error.message : String(error)}`);
      return null;
    }
  }

  private noteJob(brick: string, isFinished: boolean): void {
    // A logger that has finished a replay is about to log; its keeper decides that.
    const type = this.loaded.plan.bricks.find(({ name }) => name === brick)?.type;
    if (this.logs !== null && type === 'trans-logger') return;
    this.jobs.set(brick, isFinished);
    if ([...this.jobs.values()].every(Boolean)) this.end('finished');
  }

  private noteDeath(message: string): void {
    this.isDead = true;
    this.threw.push(message);
    this.end('died');
  }

  private noteThrown(brick: string, message: string): void {
    this.threw.push(`${brick} threw: ${message}`);
    this.end('threw');
  }
}

function neverEnds(stack: string): MarsError {
  return new MarsError(ErrorCode.SIM_STUCK, `in a simulated world the stack "${stack}" would never end`, {
    hint: 'Add a "load" brick with a count, or give --duration.',
  });
}

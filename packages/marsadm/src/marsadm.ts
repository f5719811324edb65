import { silentLogger } from '@mars/brick-core';
import { paths } from '@mars/mars-tree';
import { checkExistence, checkMembership } from './checks/resource.js';
import type { Command } from './commands/command.js';
import { COMMANDS, findCommand, visibleNames } from './commands/index.js';
import { view } from './commands/view.js';
import { Job } from './execute/job.js';
import { reportFailure, runPhases } from './execute/phases.js';
import { ping } from './execute/ping.js';
import { Session } from './execute/session.js';
import { Dying, EXIT_GOOD, EXIT_USAGE, UsageError, type ExitStatus } from './exit.js';
import { reportSplitBrain } from './facts/split-brain.js';
import { commandHelp, generalHelp } from './help.js';
import { sessionJson } from './json.js';
import { Output } from './output.js';
import { parseCommandLine, takeResource, unknownCommand, type CommandLine, type Parsed } from './parse/command-line.js';
import { compareNaturally } from './parse/names.js';
import { findHostName } from './start/host-name.js';
import { findPlaces, type Places } from './start/places.js';
import { checkDirectory, checkTreeVersion } from './start/tree-checks.js';
import { Daemon } from './tree/daemon.js';
import { Tree } from './tree/tree.js';
import { VERSION_LINE } from './version.js';
import type { World } from './world.js';

/**
 * One run of marsadm, from the arguments to the exit status. Everything outside is in `world`.
 * Source: marsadm.md, section 3 (order of the steps), 4.2 (exit status)
 */
export async function runMarsadm(argv: readonly string[], world: World): Promise<ExitStatus> {
  const out = new Output(world);
  // Errors of the command line should look like all others for somebody who asked for JSON.
  out.json = argv.includes('--json');
  const run = new Run(argv, world, out);
  let status: ExitStatus;
  try {
    status = await run.run();
  } catch (error) {
    status = reportFailure({ out }, error);
  }
  if (out.json && !run.isText) out.raw(`${JSON.stringify(sessionJson({ argv, out, status, session: run.session }))}\n`);
  await out.close();
  return status;
}

class Run {
  session: Session | null = null;
  /** Help and version are texts, whatever was asked for. */
  isText = false;

  constructor(
    private readonly argv: readonly string[],
    private readonly world: World,
    private readonly out: Output,
  ) {}

  async run(): Promise<ExitStatus> {
    const parsed = parseCommandLine(this.argv);
    if (parsed.kind !== 'command') return this.text(parsed);
    const { line } = parsed;
    this.out.verbose = line.options.verbose;
    if (line.command === '') return this.noCommand(line);
    const command = findCommand(line.command);
    if (command === null) throw unknownCommand(line.command, visibleNames());
    const full = takeResource(line, command.resource, `${command.name} ${command.usage}`.trim());
    const session = this.open(command, full);
    this.session = session;
    await this.work(command, session);
    this.out.resource = null;
    if (session.status !== EXIT_GOOD && session.out.verbose > 0) this.out.note(`EXIT ${session.status}`);
    return session.status;
  }

  private text(parsed: Exclude<Parsed, { kind: 'command' }>): ExitStatus {
    this.isText = true;
    if (parsed.kind === 'version') this.out.raw(`${VERSION_LINE}\n`);
    else if (parsed.about === null) this.out.raw(generalHelp(COMMANDS, parsed.options.verbose));
    else {
      const command = findCommand(parsed.about);
      if (command === null) throw this.asJson(unknownCommand(parsed.about, visibleNames()));
      this.out.raw(commandHelp(command));
    }
    return EXIT_GOOD;
  }

  private asJson<T>(error: T): T {
    this.isText = false;
    return error;
  }

  private noCommand(line: CommandLine): ExitStatus {
    if (this.out.json) throw new UsageError('command argument is missing', ['marsadm --help lists all commands.']);
    this.isText = true;
    this.out.rawError('ERROR: command argument is missing\n');
    this.out.raw(generalHelp(COMMANDS, line.options.verbose));
    return EXIT_USAGE;
  }

  /** Steps 2 to 12 of marsadm.md 3. */
  private open(command: Command, line: CommandLine): Session {
    const { world, out } = this;
    const places = findPlaces(line.options, world.env);
    const me = findHostName(world, out);
    if (command.needsRoot !== false && places.isSystemTree && world.host.uid !== 0) {
      throw new Dying(`command '${command.name}' needs root`, ['Use sudo, or a tree of your own with --mars=DIR.']);
    }
    this.startSyslog(command, line, places);
    const daemon = new Daemon(world, places.run);
    const dryRun = line.options.dryRun > 0;
    const host = line.options.host ?? me;
    const tree = new Tree({ world, daemon, out, root: places.mars, me, dryRun, log: silentLogger });
    const session = new Session(world, line, out, daemon, tree, me, host, places);
    if (command.needsTree === false) return session;
    checkDirectory(world, places, out);
    const named = line.resources?.[0] === 'all' || line.resources?.length === 0 ? null : line.resources;
    tree.load(command.isNarrow && daemon.clockNs !== null ? named : null);
    this.checkHost(session, command);
    checkTreeVersion(session, command.name);
    const needsUuid = command.needsUuid ?? true;
    if (needsUuid && session.snapshot.value(paths.uuid) === null) {
      throw new Dying('this host is in no cluster: the link /mars/uuid is missing', [
        'marsadm create-cluster makes a new cluster; marsadm join-cluster HOST joins the one of HOST.',
      ]);
    }
    return session;
  }

  /** Every line also goes to the log of the system; not for hosts that live in a directory of somebody's own. */
  private startSyslog(command: Command, { options }: CommandLine, places: Places): void {
    const { world, out } = this;
    const isQuiet = command.name.startsWith('view') || options.logger === '' || !places.isSystemTree;
    if (isQuiet || world.host.uid !== 0 || world.files.stat(options.logger) === null) return;
    out.tee(world.host.lineSink(options.logger, ['-t', 'marsadm']), `(cmd: ${command.name}) `);
    out.log(['marsadm', ...this.argv].map(withoutSecrets).join(' '));
  }

  /** Source: marsadm.md 2, `--host` */
  private checkHost({ options, me, host, snapshot, force, out }: Session, { name }: Command): void {
    const isHarmless = /^(view|lowlevel)/.test(name);
    if (options.force > 0 && !isHarmless)
      out.warn('You are using --force: checks are overridden, and data can be lost.');
    if (options.host === null || host === me) return;
    out.say(`ATTENTION: acting for host '${host}' instead of '${me}'`);
    out.warn(`what is known here about '${host}' may be out of date`);
    out.warn(`the daemon of '${host}' learns of this only when it is connected`);
    if (snapshot.value(paths.ip(host)) !== null || force) return;
    throw new Dying(`host '${host}' is not in the cluster`, [
      `Known hosts: ${snapshot.hosts().sort(compareNaturally).join(', ') || 'none'}.`,
    ]);
  }

  private async work(command: Command, session: Session): Promise<void> {
    const jobs = await this.jobs(command, session);
    if (jobs === null) return;
    await runPhases(session, command, jobs);
  }

  /** One job per resource that may be worked on; null = there is nothing to do. */
  private async jobs(command: Command, session: Session): Promise<Job[] | null> {
    const { line } = session;
    // The layouts of view go over all resources by themselves: something stands before and behind them.
    if (isView(command)) {
      const job = new Job(session, line.command, '', line.args);
      job.notes.set('resources', line.resources === null ? [] : this.sorted(line.resources));
      return [job];
    }
    if (line.resources === null) return [new Job(session, line.command, '', line.args)];
    const names = this.resources(command, session);
    if (names.length === 0 && command.isForEveryHost) return [new Job(session, line.command, '', line.args)];
    if (names.length === 0) {
      this.out.warn(`'all' matches nothing: this host takes part in no resource`);
      return null;
    }
    const jobs = names.map((name) => new Job(session, line.command, name, line.args));
    return await this.admitted(command, session, jobs);
  }

  private resources(command: Command, { line, snapshot, host }: Session): string[] {
    const given = line.resources!;
    if (given[0] === 'all') {
      if (/create|join/.test(command.name)) throw new UsageError(`'${command.name}' needs one resource, not 'all'`);
      const all = snapshot.resources().filter((name) => snapshot.value(paths.device(name, host)) !== null);
      return all.sort(compareNaturally);
    }
    if (given.length > 1 && /create|join/.test(command.name))
      throw new UsageError(`'${command.name}' needs one resource, not a list`);
    return this.sorted(given);
  }

  private sorted(names: readonly string[]): string[] {
    return [...names].sort(compareNaturally);
  }

  /** Existence and membership, once per resource, before the first phase. Source: marsadm.md 4.3 */
  private async admitted(command: Command, session: Session, jobs: readonly Job[]): Promise<Job[]> {
    const requires = command.requires ?? 'membership';
    if (requires === 'nothing') return [...jobs];
    const admitted: Job[] = [];
    for (const job of jobs) {
      this.out.resource = job.resource;
      try {
        const found = await checkExistence(job, () => ping(session));
        reportSplitBrain(found);
        if (requires === 'membership') checkMembership(found);
        admitted.push(found);
      } catch (error) {
        session.fail(reportFailure(session, error));
        this.out.say(`FAILURE cmd='${job.command}' res='${job.resource}'`);
        session.failed.set(job.resource, error instanceof Error ? error.message : String(error));
      }
    }
    return admitted;
  }
}

function isView(command: Command): boolean {
  return command.phases === view.phases;
}

/** The log of the system is no place for keys of the cluster. */
function withoutSecrets(argument: string): string {
  return /^--token/.test(argument) ? '--token=…' : argument;
}

import type { Clock } from '@mars/brick-core';
import { LamportClock, TreeStore, formatStamp } from '@mars/mars-tree';
import { RealFiles, ThisHost } from '@mars/platform/command-line';
import { interruptible } from '../interrupt.js';
import type { Trust } from '../trust.js';
import type { World } from '../world.js';

/** The time at which every story begins, ns. */
export const START_NS = 1_700_000_000_000_000_000n;

/** A clock that only moves while somebody sleeps. */
export class StoryClock implements Clock {
  private elapsedMs = 0;
  /** Things that happen, by themselves, at a time; ms since the start. */
  private events: { atMs: number; run: () => void }[] = [];

  get nowUs(): number {
    return this.elapsedMs * 1000;
  }

  get elapsed(): number {
    return this.elapsedMs;
  }

  wallNs(): bigint {
    return START_NS + BigInt(Math.round(this.elapsedMs * 1000)) * 1000n;
  }

  after<T>(delayMs: number, arg: T, fn: (arg: T) => void): void {
    this.at(this.elapsedMs + delayMs, () => fn(arg));
  }

  at(atMs: number, run: () => void): void {
    this.events.push({ atMs, run });
    this.events.sort((a, b) => a.atMs - b.atMs);
  }

  async sleep(ms: number, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    const untilMs = this.elapsedMs + ms;
    for (let next = this.events[0]; next !== undefined && next.atMs <= untilMs; next = this.events[0]) {
      this.events.shift();
      this.elapsedMs = Math.max(this.elapsedMs, next.atMs);
      next.run();
    }
    this.elapsedMs = untilMs;
    signal?.throwIfAborted();
  }
}

/** What happens after a trigger, or at a time. */
export interface Reaction {
  /** Text of the trigger, `*` = any; null = `afterMs` counts from the start of the command. */
  trigger: string | null;
  afterMs: number;
  path: string;
  value: string;
}

export interface StoryOptions {
  /** Empty directory that becomes `mars` and `run`. */
  dir: string;
  host: string;
  isLoaded: boolean;
  reactions: Reaction[];
  /** Name → address. */
  names: Map<string, string>;
  /** Command line → status and output. */
  programs: Map<string, { status: number; stdout: string }>;
  env: Record<string, string>;
  /** Somebody presses Ctrl-C so long after the start of the next command; null = nobody. */
  interruptMs?: number | null;
}

/** A host in a temporary directory, with a daemon that does what the story says. Files are real, time is not. */
export class StoryWorld implements World {
  readonly story = new StoryClock();
  private readonly stop = new AbortController();
  readonly clock = interruptible(this.story, this.stop.signal);
  readonly files: RealFiles;
  readonly host: World['host'];
  readonly env: Record<string, string>;
  readonly triggers: string[] = [];
  stdout = '';
  stderr = '';
  /** Links that the story wrote, so that they are not counted as the command's. */
  readonly byDaemon = new Map<string, string>();

  constructor(readonly options: StoryOptions) {
    this.files = new StoryFiles(this.story, `${options.dir}/run/sys/lamport_clock`, () => options.isLoaded);
    this.files.makeDir(`${options.dir}/mars`, { mode: 0o700 });
    this.files.makeDir(`${options.dir}/run/sys`.replace(options.isLoaded ? '' : '/sys', ''), { recursive: true });
    this.env = {
      MARS_DIR: `${options.dir}/mars`,
      MARS_RUN: `${options.dir}/run`,
      MARS_HOST: options.host,
      MARS_NO_MOUNTPOINT_CHECK: '1',
      ...options.env,
    };
    this.host = this.fakeHost();
  }

  get marsDir(): string {
    return `${this.options.dir}/mars`;
  }

  out(text: string): void {
    this.stdout += text;
  }

  err(text: string): void {
    this.stderr += text;
  }

  async openTrust(): Promise<Trust> {
    return new StoryTrust(this.files, `${this.marsDir}/.trust`);
  }

  /** Reactions that are bound to the time begin to count. */
  begin(): void {
    this.stdout = '';
    this.stderr = '';
    this.triggers.length = 0;
    this.byDaemon.clear();
    for (const reaction of this.options.reactions) if (reaction.trigger === null) this.react(reaction);
    this.options.reactions = this.options.reactions.filter(({ trigger }) => trigger !== null);
    const { interruptMs } = this.options;
    if (interruptMs != null)
      this.story.at(this.story.elapsed + interruptMs, () => this.stop.abort('interrupted by SIGINT'));
  }

  /** Puts a link into the tree as it is, with a stamp; missing directories are made. */
  plant(path: string, value: string, stampNs: bigint): void {
    const store = new TreeStore({
      files: this.files,
      clock: new LamportClock(this.clock),
      root: this.marsDir,
      me: 'x',
    });
    store.disk.place(path, value, stampNs);
  }

  private react({ afterMs, path, value }: Reaction): void {
    this.story.at(this.story.elapsed + afterMs, () => {
      const text = value === 'NOW' ? formatStamp(this.clock.wallNs()) : value;
      this.byDaemon.set(path, text);
      this.plant(path, text, this.clock.wallNs());
    });
  }

  private fakeHost(): World['host'] {
    const real = new ThisHost();
    return {
      pid: 4711,
      uid: real.uid,
      home: this.options.dir,
      isInteractive: false,
      nodeName: () => this.options.host,
      addresses: () => [{ device: 'eth0', address: '198.51.100.7' }],
      lookup: async (name) => this.options.names.get(name) ?? null,
      ownerOf: (path) => real.ownerOf(path),
      chown: (path, uid) => real.chown(path, uid),
      chmod: (path, mode) => real.chmod(path, mode),
      writeOnce: (_, text) => {
        this.triggers.push(text);
        for (const reaction of this.options.reactions) {
          if (reaction.trigger === text || reaction.trigger === '*') this.react(reaction);
        }
      },
      run: async (program, args) => {
        const found = this.options.programs.get([program, ...args].join(' '));
        return { status: found?.status ?? null, stdout: found?.stdout ?? '', stderr: '' };
      },
      lineSink: () => ({ write: () => {}, end: async () => {} }),
      ask: async () => '',
    };
  }
}

/** The control file `lamport_clock` follows the clock of the story. */
class StoryFiles extends RealFiles {
  constructor(
    private readonly clock: StoryClock,
    private readonly control: string,
    private readonly isLoaded: () => boolean,
  ) {
    super();
  }

  override readFile(path: string): Uint8Array | null {
    if (path !== this.control || !this.isLoaded()) return super.readFile(path);
    const now = formatStamp(this.clock.wallNs());
    return new TextEncoder().encode(`CURRENT_TIME=${now}\nlamport_now=${now}\nCALLS=0\n`);
  }
}

/** `.trust/` with one file that says what is in it. */
class StoryTrust implements Trust {
  constructor(
    private readonly files: RealFiles,
    private readonly dir: string,
  ) {}

  read(): ReturnType<Trust['read']> {
    const text = new TextDecoder().decode(this.files.readFile(`${this.dir}/state`) ?? new Uint8Array());
    const [kind, host] = text.split(' ');
    if (kind === 'joining') {
      const line = `token-of-${host}`;
      return { kind, line, token: this.readToken(line) };
    }
    return (kind === '' || kind === undefined ? { kind: 'none' } : { kind, host }) as ReturnType<Trust['read']>;
  }

  readToken(line: string): ReturnType<Trust['readToken']> {
    const token = { inviter: line.replace('token-of-', ''), address: { host: '192.0.2.1', port: 7777 } };
    return token as ReturnType<Trust['readToken']>;
  }

  async create(host: string): Promise<void> {
    this.put(`member ${host}`);
  }

  createInsecure(): void {
    this.put('insecure');
  }

  keepToken(line: string): void {
    this.put(`joining ${line.replace('token-of-', '')}`);
  }

  invite({ host, port }: { host: string; port: number }): string {
    return `a-token-for-${host}:${port}`;
  }

  remove(): void {
    if (this.files.stat(`${this.dir}/state`) !== null) this.files.unlink(`${this.dir}/state`);
  }

  private put(text: string): void {
    this.files.makeDir(this.dir, { mode: 0o700, recursive: true });
    this.files.writeFile(`${this.dir}/state`, text);
  }
}

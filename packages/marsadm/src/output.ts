import type { LineSink } from '@mars/platform/command-line';
import type { World } from './world.js';

/** What a line is, for `--json`; on a terminal the prefix says it. */
export type MessageKind = 'info' | 'detail' | 'warning' | 'hint' | 'dying' | 'data';

export interface Message {
  kind: MessageKind;
  /** Resource in whose context it was said; null = none. */
  resource: string | null;
  text: string;
}

/** Messages that `--json` keeps; a wait of ten minutes says one per second, and nobody reads more. */
const MAX_MESSAGES = 10_000;

/**
 * The channels and tokens of marsadm.md 4.1: normal texts go to stdout without prefix, warnings, hints and reasons of failures to stderr.
 * With `--json` nothing is printed on the way; the messages become a part of the one object at the end.
 */
export class Output {
  readonly messages: Message[] = [];
  /** Resource that is worked on. */
  resource: string | null = null;
  json = false;
  verbose = 0;
  private warned = new Set<string>();
  private sink: { lines: LineSink; prefix: string } | null = null;

  constructor(private readonly world: Pick<World, 'out' | 'err'>) {}

  /** From now on every line also goes to syslog. */
  tee(lines: LineSink, prefix: string): void {
    this.sink = { lines, prefix };
  }

  async close(): Promise<void> {
    await this.sink?.lines.end();
    this.sink = null;
  }

  log(line: string): void {
    this.sink?.lines.write(`${this.sink.prefix}${line}`);
  }

  /** A line that a command has to say in normal operation. */
  say(text: string): void {
    this.tell('info', 'out', text);
  }

  /** What somebody asked for: printed as it is, and without a prefix in `--json` too. */
  data(text: string): void {
    this.tell('data', 'out', text);
  }

  /** Only with `--verbose`. */
  detail(text: string): void {
    if (this.verbose > 0) this.tell('detail', 'out', text);
  }

  warn(text: string): void {
    this.tell('warning', 'err', text, 'WARNING: ');
  }

  /** The same warning about the same thing is given once per run. */
  warnOnce(text: string): void {
    if (this.warned.has(text)) return;
    this.warned.add(text);
    this.warn(text);
  }

  hint(text: string): void {
    this.tell('hint', 'err', text, '   HINT: ');
  }

  dying(text: string): void {
    this.tell('dying', 'err', text, 'DYING: ');
  }

  /** To stderr, without token. */
  note(text: string): void {
    this.tell('detail', 'err', text);
  }

  /** Raw text on stdout, in no message (help, version, the object of `--json`). */
  raw(text: string): void {
    this.world.out(text);
  }

  rawError(text: string): void {
    this.world.err(text);
  }

  private tell(kind: MessageKind, channel: 'out' | 'err', text: string, token = ''): void {
    if (this.messages.length < MAX_MESSAGES) this.messages.push({ kind, resource: this.resource, text });
    const line = `${token}${text}`;
    this.log(line);
    if (!this.json) this.world[channel](`${line}\n`);
  }
}

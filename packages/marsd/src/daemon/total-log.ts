import type { Files } from '@mars/brick-core';
import { formatStamp } from '@mars/mars-tree';
import { LogSink } from '@mars/platform';

/** Classes of the original, by level. Source: symlink-tree.md 2.11 */
const CLASSES: Readonly<Record<string, string>> = {
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARN',
  error: 'ERROR',
  fatal: 'FATAL',
};
/** Fields that the line has in another place, or that are the same in every line. */
const SHOWN_ELSEWHERE = new Set(['level', 'time', 'pid', 'me', 'msg']);

/**
 * `/mars/5.total.log`: a copy of the log for people and test suites that look there, as lines `STAMP STAMP CLASS TEXT` (real, Lamport).
 * Only while an administrator wants it: the file is appended to if it exists, and looked for in every round. It has no bound but its file
 * system; whoever touches it also removes it. Source: symlink-tree.md 2.11
 */
export class TotalLog {
  private sink: LogSink | null = null;
  private inode = 0;

  constructor(
    private readonly files: Files,
    private readonly path: string,
    private readonly now: { realNs(): bigint; peek(): bigint },
  ) {}

  /** Once per round: has somebody made it, or removed or replaced it? */
  round(): void {
    const stat = this.files.lstat(this.path);
    const inode = stat?.kind === 'file' ? stat.inode : 0;
    if (inode === this.inode) return;
    this.close();
    this.inode = inode;
    if (inode !== 0) this.sink = new LogSink({ path: this.path, maxBytes: Infinity, keep: 0 });
  }

  /** @param line JSON, as the logger makes it */
  write(line: string): void {
    this.sink?.write(`${formatStamp(this.now.realNs())} ${formatStamp(this.now.peek())} ${totalLine(line)}\n`);
  }

  close(): void {
    this.sink?.close();
    this.sink = null;
    this.inode = 0;
  }
}

/** One line of the log as the original would write it. */
export function totalLine(line: string): string {
  const { level, msg, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const fields = Object.entries(rest)
    .filter(([name]) => !SHOWN_ELSEWHERE.has(name))
    .map(([name, value]) => `${name}=${textOf(value)}`);
  return [CLASSES[String(level)] ?? String(level), String(msg), ...fields].join(' ').replace(/[\r\n]+/g, ' ');
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  const message = typeof value === 'object' && value !== null && 'message' in value ? value.message : undefined;
  return typeof message === 'string' ? message : JSON.stringify(value);
}

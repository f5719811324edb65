import type { Files } from '@mars/brick-core';
import { LOG, type LogName } from '@mars/mars-tree';
import type { LocalLog } from '@mars/strategy';

/** The logfiles of one resource on this host, and how much of each a power cut would leave. */
export class ResourceLogs {
  private readonly durable = new Map<string, number>();

  constructor(
    private readonly files: Files,
    /** `/mars/resource-RES`. */
    readonly dir: string,
  ) {}

  pathOf(log: LogName): string {
    return `${this.dir}/${LOG.format(log)}`;
  }

  list(): LocalLog[] {
    const found: LocalLog[] = [];
    for (const { name, kind } of this.files.readDir(this.dir) ?? []) {
      const log = kind === 'file' && LOG.pattern.test(name) ? LOG.read(name) : null;
      const stat = log === null ? null : this.files.lstat(this.pathOf(log));
      if (log !== null && stat?.kind === 'file') found.push({ ...log, sizeBytes: stat.sizeBytes });
    }
    this.forgetMissing(new Set(found.map((log) => LOG.format(log))));
    return found;
  }

  /** null = nobody has made sure yet. */
  durableBytes(log: LogName): number | null {
    return this.durable.get(LOG.format(log)) ?? null;
  }

  /** A logger or a copy says that so much is durable. */
  note(log: LogName, durableBytes: number): boolean {
    const name = LOG.format(log);
    if (this.durable.get(name) === durableBytes) return false;
    this.durable.set(name, durableBytes);
    return true;
  }

  /** A log that was deleted and comes again is another file: nothing of it is durable because its predecessor was. */
  private forgetMissing(here: ReadonlySet<string>): void {
    for (const name of this.durable.keys()) if (!here.has(name)) this.durable.delete(name);
  }

  /** What stands in the file now is there for good. */
  async makeDurable(log: LogName): Promise<void> {
    const file = await this.files.open(this.pathOf(log), { write: true });
    try {
      await this.files.sync(file, { metadata: true });
      this.note(log, this.files.size(file));
    } finally {
      await this.files.close(file);
    }
    await this.files.syncDir(this.dir);
  }

  /** An empty log, durable under its name; one that is there already stays. A tombstone in its place goes. */
  async create(log: LogName): Promise<void> {
    const path = this.pathOf(log);
    if (this.files.lstat(path)?.kind === 'symlink') this.files.unlink(path);
    if (this.files.lstat(path) === null)
      await this.files.close(await this.files.open(path, { write: true, create: true, exclusive: true }));
    await this.files.syncDir(this.dir);
    this.note(log, this.files.lstat(path)?.sizeBytes ?? 0);
  }

  async cut(log: LogName, atPos: number): Promise<void> {
    const file = await this.files.open(this.pathOf(log), { write: true });
    try {
      await this.files.truncate(file, atPos);
      await this.files.sync(file, { metadata: true });
    } finally {
      await this.files.close(file);
    }
    this.note(log, atPos);
  }
}

import { crashPoint, type Files } from '@mars/brick-core';
import { LOG, REPLAY, VERSION, versionValue, zeroVersion, type LogName, type ReplayPosition } from '@mars/mars-tree';
import type { LocalLog } from '@mars/strategy';
import { HOLE_SERIALS } from './limits.js';

/** What is published about one log. Source: symlink-tree.md 5.5 */
export interface LogProgress {
  log: LogName;
  /** The disk is known good up to here, durably. */
  posBytes: number;
  /** Length of the range behind it that may be there in parts. */
  dirtyBytes: number;
  /** Durable length of the log. */
  lengthBytes: number;
}

/**
 * A directory of logfiles with the links that say how far they are on the disk: names and values are those of a resource
 * directory below /mars (symlink-tree.md 2.7, 2.9, 5.3), so it can become one later.
 *
 * ```
 *   log-000000003-host                                            the log
 *   replay-host           -> log-000000003-host,81920,4096        where recovery begins
 *   version-000000003-host -> <md5>,log-000000003-host,86016:…    its length, and its history
 * ```
 * Only files and links: nothing here knows a stack.
 */
export class LogDirectory {
  /** The highest number whose links are known to be durable. */
  private durableSequence = 0;

  constructor(
    private readonly files: Files,
    readonly path: string,
    readonly host: string,
  ) {}

  /** Half-written links of a process that died. */
  removeStaleTemporaries(): void {
    for (const { name } of this.files.readDir(this.path) ?? [])
      if (name.startsWith('.tmp-')) this.files.unlink(`${this.path}/${name}`);
  }

  logs(): LocalLog[] {
    const found: LocalLog[] = [];
    for (const { name, kind } of this.files.readDir(this.path) ?? []) {
      const log = kind === 'file' && LOG.pattern.test(name) ? LOG.read(name) : null;
      const stat = log === null ? null : this.files.stat(this.pathOf(log));
      if (log !== null && stat !== null) found.push({ ...log, sizeBytes: stat.sizeBytes });
    }
    return found;
  }

  /** @returns `null` = there is no link; `'unreadable'` = nobody can say what it means */
  replay(): ReplayPosition | null | 'unreadable' {
    const value = this.files.readLink(this.linkPath(`replay-${this.host}`));
    return value === null ? null : (REPLAY.read(value) ?? 'unreadable');
  }

  /** Length in the own version link of that number; `null` = no link. */
  versionBytes(sequence: number): number | null {
    const value = this.version(sequence);
    return value === null ? null : (VERSION.read(value)?.lengthBytes ?? null);
  }

  pathOf(log: LogName): string {
    return `${this.path}/${LOG.format(log)}`;
  }

  /** An empty log, durable under its name. One that is there already was made by somebody who died here. */
  async create(log: LogName): Promise<void> {
    const path = this.pathOf(log);
    if (this.files.lstat(path) === null) {
      const file = await this.files.open(path, { write: true, create: true, exclusive: true });
      await this.files.close(file);
    }
    crashPoint('keeper.log-created');
    await this.files.syncDir(this.path);
  }

  /**
   * Leaves a hole in the serials, because writes are about to go to the disk without a log: from now on recovery begins behind it, for
   * replaying what is in front of it would bring old data back. Durable when it resolves. Source: symlink-tree.md 5.6 rule 7, 6.8
   * @returns the empty log behind the hole
   */
  async leaveHole(above: number): Promise<LogName> {
    const last = above + HOLE_SERIALS;
    const log = { sequence: last + 1, host: this.host };
    this.write(this.versionName(last), zeroVersion(last, this.host));
    await this.files.syncDir(this.path);
    await this.create(log);
    await this.publish({ log, posBytes: 0, dirtyBytes: 0, lengthBytes: 0 });
    return log;
  }

  /** What stands in the log now is there for good: the death of a process leaves bytes that a power cut could still take. */
  async makeDurable(log: LogName): Promise<void> {
    const file = await this.files.open(this.pathOf(log), { write: true });
    try {
      await this.files.sync(file, { metadata: true });
    } finally {
      await this.files.close(file);
    }
    await this.files.syncDir(this.path);
  }

  /** Gives up what stands behind `atPos`, before anything is written to a later log: it must not come back. */
  async cut(log: LogName, atPos: number): Promise<void> {
    const file = await this.files.open(this.pathOf(log), { write: true });
    try {
      await this.files.truncate(file, atPos);
      await this.files.sync(file, { metadata: true });
    } finally {
      await this.files.close(file);
    }
    crashPoint('keeper.log-cut');
    await this.publish({ log, posBytes: atPos, dirtyBytes: 0, lengthBytes: atPos });
    await this.files.syncDir(this.path);
  }

  /** The links of a first log; the replay link, which says that there are logs at all, comes last. Source: symlink-tree.md 5.1 */
  async begin(log: LogName): Promise<void> {
    const before = zeroVersion(log.sequence - 1, log.host);
    this.write(this.versionName(log.sequence - 1), before);
    this.write(this.versionName(log.sequence), zeroVersion(log.sequence, log.host, before));
    await this.files.syncDir(this.path);
    this.write(`replay-${this.host}`, REPLAY.format({ log, posBytes: 0, dirtyBytes: 0 }));
    await this.files.syncDir(this.path);
    this.durableSequence = log.sequence;
  }

  /**
   * Sets the replay link, then the version link; what is not newer than what stands there is left alone (INV-6). Durable at the
   * first publication of a number; before that, everything of the number before. Source: symlink-tree.md 5.5, 5.6 rule 4
   */
  async publish({ log, posBytes, dirtyBytes, lengthBytes }: LogProgress): Promise<void> {
    const isNew = log.sequence > this.durableSequence;
    if (isNew) await this.files.syncDir(this.path);
    const stands = this.replay();
    const isBehind =
      stands !== null &&
      stands !== 'unreadable' &&
      (log.sequence < stands.log.sequence || (log.sequence === stands.log.sequence && posBytes < stands.posBytes));
    if (isBehind) return;
    crashPoint('keeper.before-publish');
    this.write(`replay-${this.host}`, REPLAY.format({ log, posBytes, dirtyBytes }));
    crashPoint('keeper.between-replay-and-version');
    this.writeVersion(log, lengthBytes);
    if (!isNew) return;
    await this.files.syncDir(this.path);
    this.durableSequence = log.sequence;
  }

  writeVersion({ sequence, host }: LogName, lengthBytes: number): void {
    this.write(this.versionName(sequence), versionValue(sequence, host, lengthBytes, this.version(sequence - 1)));
  }

  /**
   * Removes logs that nobody needs any more, oldest first, with the version links that nobody reads.
   * @param below number that is needed; its predecessor's version link is kept, because the next one repeats it
   * @param keep  so many of the logs below it stay
   * @returns what was removed
   */
  async removeLogs(below: number, keep: number): Promise<LogName[]> {
    if (below > this.durableSequence) return [];
    const old = this.logs().filter(({ sequence }) => sequence < below);
    const goes = old.sort((a, b) => a.sequence - b.sequence).slice(0, Math.max(0, old.length - keep));
    for (const log of goes) {
      this.files.unlink(this.pathOf(log));
      const version = this.linkPath(this.versionName(log.sequence));
      if (log.sequence < below - 1 && this.files.readLink(version) !== null) this.files.unlink(version);
    }
    if (goes.length > 0) await this.files.syncDir(this.path);
    return goes;
  }

  private version(sequence: number): string | null {
    return this.files.readLink(this.linkPath(this.versionName(sequence)));
  }

  private versionName(sequence: number): string {
    return `version-${String(sequence).padStart(9, '0')}-${this.host}`;
  }

  private linkPath(name: string): string {
    return `${this.path}/${name}`;
  }

  /** Replaces a link in one step: readers see the old value or the new one. */
  private write(name: string, value: string): void {
    const path = this.linkPath(name);
    if (this.files.readLink(path) === value) return;
    const temporary = this.linkPath(`.tmp-${name}`);
    if (this.files.lstat(temporary) !== null) this.files.unlink(temporary);
    this.files.symlink(value, temporary);
    this.files.rename(temporary, path);
  }
}

import { isMarsError } from '@mars/brick-core';
import { readStamp } from '@mars/mars-tree';
import type { World } from '../world.js';
import { readText } from '../world.js';

/** What marsadm knows of the daemon of this host: the directory `$MARS_RUN/sys` and what is in it. Source: symlink-tree.md 2.13, decided.md */
export class Daemon {
  private readonly sys: string;

  constructor(
    private readonly world: World,
    readonly runDir: string,
  ) {
    this.sys = `${runDir}/sys`;
  }

  /** A FUSE mount whose daemon died cannot even be looked at: that is "not loaded". */
  get isLoaded(): boolean {
    try {
      return this.world.files.stat(this.sys)?.kind === 'directory';
    } catch (error) {
      if (isMarsError(error)) return false;
      throw error;
    }
  }

  /** Text of a control file; null = it is not there. */
  read(name: string): string | null {
    try {
      return readText(this.world.files, `${this.sys}/${name}`);
    } catch (error) {
      if (isMarsError(error)) return null;
      throw error;
    }
  }

  /** Lamport time of the daemon, ns; null = there is no such file, or no daemon. */
  get clockNs(): bigint | null {
    const line = /^lamport_now=(.*)$/m.exec(this.read('lamport_clock') ?? '');
    return line === null ? null : readStamp(line[1]!);
  }

  /** One command, one write(2). @returns false when no daemon takes it: it will read the tree when it starts */
  trigger(command: string): boolean {
    if (!this.isLoaded) return false;
    try {
      const path = `${this.sys}/trigger`;
      // Without FUSE it is a named pipe, in which commands of several writers would run together.
      const isPipe = this.world.files.stat(path)?.kind === 'other';
      this.world.host.writeOnce(path, isPipe ? `${command}\n` : command);
      return true;
    } catch (error) {
      if (isMarsError(error)) return false;
      throw error;
    }
  }
}

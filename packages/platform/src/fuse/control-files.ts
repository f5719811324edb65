/** One file of a control directory. Who offers it decides what a read shows and what a write does. */
export interface ControlFile {
  /** Permissions: 0600, 0400 (no `write`) or 0200 (no `read`). */
  readonly mode: number;
  /** What it shows is out of date at once (a clock); without FUSE it is left out rather than shown wrong. */
  readonly isVolatile?: boolean;
  /** Contents now; asked once per reader and pass, so that one `cat` sees one state. Keep it short: it holds up everybody else. */
  read?(): string;
  /**
   * One write(2) of somebody, whatever its position: `echo 5 >` brings `"5\n"`. The writer waits for the promise; what is thrown becomes
   * its errno (`details.errno` of a MarsError, else EINVAL). `signal`: the writer was interrupted and will not hear the answer.
   */
  write?(text: string, signal: AbortSignal): void | Promise<void>;
}

/** Files by their path below the control directory, `io_tuning/writeback_rate_kb`. Directories are there because files are in them. */
export class ControlFiles {
  private readonly files = new Map<string, ControlFile>();
  private readonly directories = new Map<string, Set<string>>([['', new Set()]]);

  add(path: string, file: ControlFile): this {
    this.files.set(path, file);
    const words = path.split('/');
    for (let depth = 0; depth < words.length; depth++) {
      const dir = words.slice(0, depth).join('/');
      if (!this.directories.has(dir)) this.directories.set(dir, new Set());
      this.directories.get(dir)!.add(words[depth]!);
    }
    return this;
  }

  get(path: string): ControlFile | undefined {
    return this.files.get(path);
  }

  isDirectory(path: string): boolean {
    return this.directories.has(path);
  }

  /** Names in a directory, sorted. */
  list(dir: string): string[] {
    return [...(this.directories.get(dir) ?? [])].sort();
  }

  paths(): IterableIterator<string> {
    return this.files.keys();
  }

  get size(): number {
    return this.files.size;
  }
}

/** What serves a control directory. */
export interface ControlServer {
  /** `fuse`: each write is a command. `plain`: ordinary files and a pipe, where the kernel or this user cannot have FUSE. */
  readonly kind: 'fuse' | 'plain';
  /** Why it is not `fuse`; empty when it is. */
  readonly reason: string;
  /** The directory is gone when this resolves. */
  close(): Promise<void>;
}

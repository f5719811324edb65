import { spawnSync } from 'node:child_process';
import { constants, mkdirSync, openSync, readFileSync, rmSync, watch, writeFileSync, type FSWatcher } from 'node:fs';
import { Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { ErrorCode } from '@mars/brick-core';
import { errnoOf, machineError } from '../errors.js';
import type { ControlFile, ControlFiles } from './control-files.js';
import { MAX_PENDING_WRITES, MAX_PIPE_COMMAND_BYTES, PIPE_SETTLE_MS, PLAIN_REFRESH_MS } from './limits.js';

/**
 * Control files without FUSE: ordinary files, brought up to date once a second, and a named pipe for what can only be written.
 *
 * A pipe is one stream of bytes, so its commands end with a newline (`echo`, not `echo -n`); the last one also counts when nothing
 * follows for 50 ms. Nobody hears whether a value was accepted: a refused one is replaced by the one that holds. Volatile files
 * (`lamport_clock`) are left out.
 */
export class PlainControlFiles {
  /** What we have written last, by path: anything else in the file is somebody's wish. */
  private readonly shown = new Map<string, string>();
  private readonly pipes: Socket[] = [];
  private readonly watchers: FSWatcher[] = [];
  private timer: NodeJS.Timeout | null = null;
  private isSoon = false;

  constructor(
    private readonly dir: string,
    private readonly files: ControlFiles,
  ) {}

  start(): void {
    mkdirSync(this.dir, { mode: 0o700, recursive: true });
    const directories = new Set<string>([this.dir]);
    for (const path of this.files.paths()) {
      const file = this.files.get(path)!;
      if (file.isVolatile) continue;
      mkdirSync(dirname(this.at(path)), { mode: 0o700, recursive: true });
      directories.add(dirname(this.at(path)));
      if (file.read === undefined) this.pipes.push(this.openPipe(path, file));
      else this.show(path, file);
    }
    for (const dir of directories) this.watchers.push(watch(dir, { persistent: false }, () => this.soon()));
    this.timer = setInterval(() => this.round(), PLAIN_REFRESH_MS);
  }

  close(): void {
    if (this.timer !== null) clearInterval(this.timer);
    for (const watcher of this.watchers) watcher.close();
    for (const pipe of this.pipes) pipe.destroy();
    rmSync(this.dir, { recursive: true, force: true });
  }

  private at(path: string): string {
    return join(this.dir, path);
  }

  private soon(): void {
    if (this.isSoon) return;
    this.isSoon = true;
    setTimeout(() => {
      this.isSoon = false;
      if (this.timer !== null) this.round();
    }, PIPE_SETTLE_MS).unref();
  }

  /** First what others have written, then what is to be seen. */
  private round(): void {
    for (const path of this.shown.keys()) {
      const file = this.files.get(path)!;
      const wish = this.wishFor(path);
      if (wish === null) this.show(path, file);
      else void this.take(path, file, wish);
    }
  }

  private wishFor(path: string): string | null {
    try {
      const text = readFileSync(this.at(path), 'utf8');
      return text === this.shown.get(path) ? null : text;
    } catch {
      return null; // removed by somebody: it is written anew
    }
  }

  private async take(path: string, file: ControlFile, wish: string): Promise<void> {
    this.shown.set(path, wish);
    // An empty file is one that is being written: `>` cuts first.
    if (wish === '' || file.write === undefined) return;
    try {
      await file.write(wish, new AbortController().signal);
    } catch {
      // Refused; the next round shows what holds.
    }
  }

  private show(path: string, file: ControlFile): void {
    try {
      const text = file.read!();
      if (text === this.shown.get(path)) return;
      writeFileSync(this.at(path), text, { mode: file.mode });
      this.shown.set(path, text);
    } catch {
      // Not writable, or not readable just now: the next round tries again.
    }
  }

  private openPipe(path: string, file: ControlFile): Socket {
    const at = this.at(path);
    const { status, error } = spawnSync('mkfifo', ['-m', '0600', at], { stdio: 'ignore' });
    if (status !== 0) {
      const errno = error === undefined ? 17 : errnoOf(error);
      throw machineError(ErrorCode.FILE_IO, {
        action: `make the pipe ${at}`,
        errno,
        path: at,
        hint: 'Install coreutils.',
      });
    }
    // Read and write: it never ends, however many writers come and go.
    const fd = openSync(at, constants.O_RDWR | constants.O_NONBLOCK);
    const socket = new Socket({ fd, readable: true, writable: false });
    readCommands(socket, file);
    return socket;
  }
}

function readCommands(socket: Socket, file: ControlFile): void {
  let rest = '';
  let settle: NodeJS.Timeout | null = null;
  let pending = 0;
  const command = (text: string): void => {
    if (text.trim() === '' || pending >= MAX_PENDING_WRITES) return;
    pending++;
    void Promise.resolve()
      .then(() => file.write?.(text, new AbortController().signal))
      .catch(() => {}) // whoever refuses has logged why; nobody waits for the answer here
      .finally(() => pending--);
  };
  socket.setEncoding('utf8');
  socket.on('error', () => socket.destroy());
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!.slice(0, MAX_PIPE_COMMAND_BYTES);
    for (const line of lines) command(line);
    if (settle !== null) clearTimeout(settle);
    settle = setTimeout(() => {
      command(rest);
      rest = '';
    }, PIPE_SETTLE_MS);
  });
  socket.on('close', () => settle !== null && clearTimeout(settle));
}

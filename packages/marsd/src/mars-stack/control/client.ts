import { ErrorCode, MarsError, type ErrorCodeName, type Files, type Net, type NetStream } from '@mars/brick-core';
import type { StackEvent } from '@mars/stack';
import { LineReader, encodeLine, type ControlCommand, type ControlMessage } from './protocol.js';

const CONNECT_TIMEOUT_MS = 5_000;

/** One connection to the control socket of a running stack. */
export class ControlClient {
  private readonly waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  private ids = 0;
  private onEvent: (event: StackEvent) => void = () => {};
  readonly closed: Promise<void>;

  private constructor(
    private readonly stream: NetStream,
    path: string,
  ) {
    const reader = new LineReader((line) => this.heard(JSON.parse(line) as ControlMessage));
    stream.onData((bytes) => {
      if (!reader.push(bytes)) stream.destroy();
    });
    this.closed = new Promise((resolve) =>
      stream.onClose(() => {
        for (const { reject } of this.waiting.values()) reject(unreachable(path, 'it closed the connection'));
        this.waiting.clear();
        resolve();
      }),
    );
  }

  /** @throws MarsError CONTROL_UNREACHABLE */
  static async connect(net: Net, path: string): Promise<ControlClient> {
    try {
      return new ControlClient(await net.connect({ path }, { timeoutMs: CONNECT_TIMEOUT_MS }), path);
    } catch (cause) {
      throw unreachable(path, cause instanceof Error ? cause.message : String(cause));
    }
  }

  /** @throws MarsError what the stack answered */
  ask(command: ControlCommand): Promise<unknown> {
    const id = ++this.ids;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.stream.write(encodeLine({ id, ...command }));
    });
  }

  listen(onEvent: (event: StackEvent) => void): void {
    this.onEvent = onEvent;
  }

  close(): void {
    this.stream.end();
  }

  private heard(message: ControlMessage): void {
    if ('event' in message) return this.onEvent(message.event);
    const waiter = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if (message.ok) waiter?.resolve(message.result);
    else waiter?.reject(asError(message.error));
  }
}

/** Sockets of running stacks in the run directory. */
export function findSockets(files: Files, dir: string): string[] {
  const names = (files.readDir(dir) ?? []).map((entry) => entry.name);
  return names.filter((name) => /^stack-.*\.sock$/.test(name)).map((name) => `${dir}/${name}`);
}

function unreachable(path: string, why: string): MarsError {
  return new MarsError(ErrorCode.CONTROL_UNREACHABLE, `no running stack answers at ${path}: ${why}`, {
    hint: 'Start one with "mars-stack run FILE", or name another socket; MARS_RUN says where they are.',
  });
}

function asError(data: object): MarsError {
  const { code, message, hint } = data as { code: string; message: string; hint?: string };
  const known = code in ErrorCode ? (code as ErrorCodeName) : ErrorCode.CONTROL_REFUSED;
  return new MarsError(known, message, hint === undefined ? {} : { hint });
}

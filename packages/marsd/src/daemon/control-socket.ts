import { ErrorCode, MarsError, type Net, type NetListener, type NetStream } from '@mars/brick-core';
import { LineReader, encodeLine } from '../mars-stack/control/protocol.js';
import { errorData } from '../mars-stack/exit.js';
import { CONTROL_TIMEOUT_MS, MAX_CONTROL_CLIENTS } from './limits.js';

/** `$MARS_RUN/marsd.sock`: JSON objects, one per line; each answer repeats the number of its request. For `marsd stop` and `status`. */
export type DaemonRequest = { id: number; do: 'status' | 'stop' };

export interface DaemonStatus {
  pid: number;
  host: string;
  version: string;
  mars: string;
  run: string;
  port: number;
  /** What is open towards other hosts, or why nothing is. */
  network: string;
  controlFiles: string;
  uptimeS: number;
  rounds: number;
  /** Devices that somebody has open; while there are any, the daemon refuses to stop. */
  openDevices: string[];
}

export interface DaemonControl {
  status(): DaemonStatus;
  /** Begins to stop. @throws MarsError DEVICE_IN_USE */
  stop(): void;
}

export function controlSocketPath(run: string): string {
  return `${run}/marsd.sock`;
}

/** Opens the control socket. Connections stay open until the process ends: that is how `marsd stop` sees the end. */
export function serveControlSocket(net: Net, run: string, control: DaemonControl): Promise<NetListener> {
  const clients = new Set<NetStream>();
  return net.listen({ path: controlSocketPath(run) }, (stream) => {
    if (clients.size >= MAX_CONTROL_CLIENTS) return stream.destroy();
    clients.add(stream);
    const reader = new LineReader((line) => stream.write(encodeLine(answer(line, control))));
    stream.onData((bytes) => {
      if (!reader.push(bytes)) stream.destroy();
    });
    stream.onClose(() => clients.delete(stream));
  });
}

function answer(line: string, control: DaemonControl): object {
  let id = 0;
  try {
    const request = JSON.parse(line) as DaemonRequest;
    id = request.id;
    if (request.do === 'status') return { id, ok: true, result: control.status() };
    if (request.do !== 'stop')
      throw new MarsError(ErrorCode.CONTROL_REFUSED, `the daemon knows no "${String(request.do)}"`);
    control.stop();
    return { id, ok: true, result: null };
  } catch (error) {
    return { id, ok: false, error: errorData(error) };
  }
}

/** A connection to a running daemon. */
export class DaemonClient {
  /** Resolves when the daemon has closed the connection, at the latest when it has ended. */
  readonly closed: Promise<void>;
  private waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | null = null;
  private ids = 0;

  private constructor(private readonly stream: NetStream) {
    const reader = new LineReader((line) => {
      this.waiting?.resolve(JSON.parse(line) as Answer);
      this.waiting = null;
    });
    stream.onData((bytes) => void reader.push(bytes));
    this.closed = new Promise((resolve) =>
      stream.onClose(() => {
        this.waiting?.reject(mute('it closed the connection'));
        resolve();
      }),
    );
  }

  /** @returns null when nobody listens */
  static async connect(net: Net, run: string): Promise<DaemonClient | null> {
    try {
      return new DaemonClient(await net.connect({ path: controlSocketPath(run) }, { timeoutMs: CONTROL_TIMEOUT_MS }));
    } catch {
      return null; // refused or not there: both mean that no daemon listens
    }
  }

  /** @throws MarsError what the daemon answered */
  async ask(what: DaemonRequest['do']): Promise<unknown> {
    const answer = await new Promise<Answer>((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.stream.write(encodeLine({ id: ++this.ids, do: what }));
    });
    if (answer.ok) return answer.result;
    const { code, message, hint } = answer.error;
    throw new MarsError(
      code in ErrorCode ? code : ErrorCode.CONTROL_REFUSED,
      message,
      hint === undefined ? {} : { hint },
    );
  }

  close(): void {
    this.stream.destroy();
  }
}

type Answer =
  | { id: number; ok: true; result: unknown }
  | { id: number; ok: false; error: { code: MarsError['code']; message: string; hint?: string } };

export function mute(why: string): MarsError {
  return new MarsError(ErrorCode.DAEMON_MUTE, `the daemon does not answer: ${why}`, {
    hint: 'Look into marsd.log in the run directory, or "journalctl -u marsd".',
  });
}

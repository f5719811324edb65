import { Worker } from 'node:worker_threads';
import {
  ErrorCode,
  MarsError,
  type TlsClient,
  type TlsClientIdentity,
  type TlsEndpoint,
  type TlsIdentity,
  type TlsPeer,
  type TlsServer,
} from '@mars/brick-core';
import type { Native } from '../native.js';
import { readClientMaterial, readMaterial } from './material.js';
import type { FromTlsThread, ToTlsThread } from './messages.js';

interface Waiting {
  resolve(peer: TlsPeer): void;
  reject(error: Error): void;
}

const ENTRY = new URL('./tls-thread.js', import.meta.url);

/** TLS for the sockets of an io_uring: in a thread of its own, started when the first server or client is made. */
export class ThreadedTls implements TlsEndpoint {
  private worker: Worker | null = null;
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 1;

  /** @param wakeHandle of the ring whose sockets come here: it may be asleep when an answer arrives */
  constructor(
    private readonly native: Native,
    private readonly wakeHandle: number,
  ) {}

  server(identity: TlsIdentity): TlsServer {
    const material = readMaterial(identity);
    this.worker ??= this.startWorker(); // so that the first client does not wait for it
    return { accept: (fd, { signal }) => this.ask(signal, (id) => ({ kind: 'accept', id, fd, material })) };
  }

  client(identity: TlsClientIdentity): TlsClient {
    const material = readClientMaterial(identity);
    this.worker ??= this.startWorker();
    return { connect: (fd, { signal }) => this.ask(signal, (id) => ({ kind: 'connect', id, fd, material })) };
  }

  /** Ends all TLS connections. */
  async close(): Promise<void> {
    const { worker } = this;
    this.worker = null;
    await worker?.terminate();
  }

  private ask(signal: AbortSignal, question: (id: number) => ToTlsThread): Promise<TlsPeer> {
    const id = this.nextId++;
    const abort = (): void => this.post({ kind: 'abort', id });
    signal.addEventListener('abort', abort, { once: true });
    const answered = new Promise<TlsPeer>((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    this.post(question(id));
    if (signal.aborted) abort();
    return answered.finally(() => signal.removeEventListener('abort', abort));
  }

  private post(message: ToTlsThread): void {
    this.worker ??= this.startWorker();
    this.worker.postMessage(message);
  }

  private startWorker(): Worker {
    const worker = new Worker(ENTRY, { name: 'mars-tls', workerData: { wakeHandle: this.wakeHandle } });
    worker.on('message', (message: FromTlsThread) => this.answered(message));
    worker.on('error', (error) => this.ended(worker, error.message));
    worker.on('exit', () => this.ended(worker, 'the TLS thread has ended'));
    worker.unref();
    return worker;
  }

  private answered(message: FromTlsThread): void {
    const waiting = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if (message.kind === 'failed') waiting?.reject(failure(message.text));
    else if (waiting !== undefined) waiting.resolve({ fd: message.fd, name: message.name });
    else this.native.closeFd(message.fd);
  }

  /** Its connections are gone with it; the next one starts another thread. */
  private ended(worker: Worker, text: string): void {
    if (this.worker === worker) this.worker = null;
    const all = [...this.waiting.values()];
    this.waiting.clear();
    for (const waiting of all) waiting.reject(failure(text));
  }
}

function failure(text: string): MarsError {
  return new MarsError(ErrorCode.SOCKET, text, { hint: 'Check the certificates of both sides.' });
}

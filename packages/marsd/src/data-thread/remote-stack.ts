import { ErrorCode, MarsError, causeText } from '@mars/brick-core';
import { Redactor, failureFrom, type StackEvent, type StackHandle, type StackStatus } from '@mars/stack';
import { errorFromData } from './error-data.js';
import { EVENTS_PER_REPORT, MAX_CALLS_UNDER_WAY } from './limits.js';
import type { FromStack, OpenRequest, StackMethod, ToStack } from './messages.js';

interface Caller {
  method: StackMethod | 'open';
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** Where the stack behind the messages stands; `closed` keeps what it said last. */
type State = { is: 'open' } | { is: 'closed'; status: StackStatus } | { is: 'dead'; error: MarsError };

/**
 * The owner's side of a stack in another thread: every call travels as a message and comes back as one. It behaves as the
 * stack itself would: the same answers, the same errors, the same events in the same order; and when the thread dies,
 * every call is refused with the reason.
 */
export class RemoteStack implements StackHandle {
  private readonly callers = new Map<number, Caller>();
  private readonly listeners = new Set<(event: StackEvent) => void>();
  private state: State = { is: 'open' };
  private lastId = 0;
  private unreported = 0;
  private redactor = new Redactor({});

  /**
   * @param post to the thread
   * @param stopThread after the stack was closed
   */
  constructor(
    readonly name: string,
    private readonly post: (message: ToStack) => void,
    private readonly stopThread: () => Promise<void>,
  ) {}

  async open(request: OpenRequest): Promise<void> {
    this.redactor = new Redactor(request.secrets);
    await this.send('open', (id) => ({ kind: 'open', id, request }));
  }

  status: StackHandle['status'] = async () => this.call('status');
  statistics: StackHandle['statistics'] = async () => this.call('statistics');
  resetStatistics: StackHandle['resetStatistics'] = async () => this.call('resetStatistics');
  settled: StackHandle['settled'] = async () => this.call('settled');
  apply: StackHandle['apply'] = async (plan, secrets) => {
    if (secrets !== undefined) this.redactor = new Redactor(secrets);
    return this.call('apply', plan, secrets);
  };

  setFacts: StackHandle['setFacts'] = async (facts) => this.call('setFacts', facts);
  override: StackHandle['override'] = async (brick, power) => this.call('override', brick, power);
  setParam: StackHandle['setParam'] = async (brick, param, value) => this.call('setParam', brick, param, value);
  insert: StackHandle['insert'] = async (overlay) => this.call('insert', overlay);
  remove: StackHandle['remove'] = async (filter) => this.call('remove', filter);

  close: StackHandle['close'] = async (options) => {
    const status = await this.call<StackStatus | undefined>('close', options);
    if (this.state.is !== 'open' || status === undefined) return;
    this.state = { is: 'closed', status };
    this.listeners.clear();
    this.endCalls((caller) => this.answerClosed(caller, status));
    await this.stopThread();
  };

  subscribe(listener: (event: StackEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** A message of the thread. */
  heard(message: FromStack): void {
    if (message.kind === 'event') return this.handOn(message.event);
    const caller = this.callers.get(message.id);
    this.callers.delete(message.id);
    if (message.kind === 'answer') caller?.resolve(message.value);
    else caller?.reject(errorFromData(message.error));
  }

  /** The thread has ended. Without anybody having closed the stack, that is a death. */
  ended(cause: unknown): void {
    if (this.state.is !== 'open') return;
    const error = this.death(cause);
    this.state = { is: 'dead', error };
    this.emit({ kind: 'died', failure: failureFrom(error) });
    this.listeners.clear();
    this.endCalls(({ reject }) => reject(error));
  }

  private death(cause: unknown): MarsError {
    const why = this.redactor.text(causeText(cause));
    return new MarsError(ErrorCode.DATA_THREAD_DIED, `the thread of stack "${this.name}" died: ${why}`, {
      hint: 'This is a bug of a brick or of MARS: please report it with the log. What was not answered may not be on disk; starting the stack again recovers.',
    });
  }

  private handOn(event: StackEvent): void {
    this.emit(event);
    if (++this.unreported < EVENTS_PER_REPORT) return;
    this.post({ kind: 'seen', count: this.unreported });
    this.unreported = 0;
  }

  private emit(event: StackEvent): void {
    for (const listener of [...this.listeners]) listener(event);
  }

  private call<T>(method: StackMethod, ...args: unknown[]): Promise<T> {
    const { state } = this;
    if (state.is === 'open') return this.send(method, (id) => ({ kind: 'call', id, method, args })) as Promise<T>;
    return new Promise((resolve, reject) => {
      const caller: Caller = { method, resolve: resolve, reject };
      if (state.is === 'dead') reject(state.error);
      else this.answerClosed(caller, state.status);
    });
  }

  private send(method: Caller['method'], messageOf: (id: number) => ToStack): Promise<unknown> {
    this.refuseCrowd();
    const id = ++this.lastId;
    // First the message: what cannot be copied is refused here, before anybody waits for an answer.
    this.post(messageOf(id));
    return new Promise((resolve, reject) => this.callers.set(id, { method, resolve, reject }));
  }

  private refuseCrowd(): void {
    if (this.callers.size < MAX_CALLS_UNDER_WAY) return;
    throw new MarsError(ErrorCode.LIMIT_REACHED, `${this.callers.size} calls wait for stack "${this.name}"`, {
      hint: 'Its thread does not answer: look for a brick that never returns.',
      details: { limit: 'MAX_CALLS_UNDER_WAY' },
    });
  }

  private endCalls(end: (caller: Caller) => void): void {
    const callers = [...this.callers.values()];
    this.callers.clear();
    for (const caller of callers) end(caller);
  }

  /** As a stack answers that was closed in this loop: it can still be looked at, but no longer changed. */
  private answerClosed({ method, resolve, reject }: Caller, status: StackStatus): void {
    if (method === 'status') resolve(structuredClone(status));
    else if (method === 'statistics') resolve({});
    else if (method === 'settled') resolve({ problems: [] });
    else if (method === 'close' || method === 'resetStatistics') resolve(undefined);
    else
      reject(new MarsError(ErrorCode.BRICK_BUSY, `stack "${this.name}" is being closed`, { hint: 'Start it again.' }));
  }
}

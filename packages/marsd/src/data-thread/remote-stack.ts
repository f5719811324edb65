import { ErrorCode, MarsError, causeText } from '@mars/brick-core';
import {
  Redactor,
  failureFrom,
  type SettledReport,
  type StackEvent,
  type StackHandle,
  type StackStatus,
} from '@mars/stack';
import { errorFromData } from './error-data.js';
import { EVENTS_PER_REPORT, MAX_CALLS_UNDER_WAY } from './limits.js';
import type { FromStack, OpenRequest, StackMethod, ToStack } from './messages.js';

interface Caller {
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
    await this.send((id) => ({ kind: 'open', id, request }));
  }

  status = async (): Promise<StackStatus> =>
    this.state.is === 'closed' ? structuredClone(this.state.status) : this.call('status');

  statistics: StackHandle['statistics'] = async () => (this.state.is === 'closed' ? {} : this.call('statistics'));

  resetStatistics = async (): Promise<void> => (this.state.is === 'closed' ? undefined : this.call('resetStatistics'));

  settled = async (): Promise<SettledReport> => (this.state.is === 'closed' ? { problems: [] } : this.call('settled'));

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
    if (this.state.is === 'closed') return;
    const status = await this.call<StackStatus>('close', options);
    if (this.isClosed()) return;
    this.state = { is: 'closed', status };
    this.listeners.clear();
    this.refuseAll(this.isBeingClosed());
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
    this.refuseAll(error);
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
    return this.send((id) => ({ kind: 'call', id, method, args })) as Promise<T>;
  }

  private send(messageOf: (id: number) => ToStack): Promise<unknown> {
    this.refuseWhenGone();
    const id = ++this.lastId;
    // First the message: what cannot be copied is refused here, before anybody waits for an answer.
    this.post(messageOf(id));
    return new Promise((resolve, reject) => this.callers.set(id, { resolve, reject }));
  }

  private refuseWhenGone(): void {
    if (this.state.is === 'dead') throw this.state.error;
    if (this.state.is === 'closed') throw this.isBeingClosed();
    if (this.callers.size < MAX_CALLS_UNDER_WAY) return;
    throw new MarsError(ErrorCode.LIMIT_REACHED, `${this.callers.size} calls wait for stack "${this.name}"`, {
      hint: 'Its thread does not answer: look for a brick that never returns.',
      details: { limit: 'MAX_CALLS_UNDER_WAY' },
    });
  }

  private refuseAll(error: MarsError): void {
    for (const caller of this.callers.values()) caller.reject(error);
    this.callers.clear();
  }

  private isClosed(): boolean {
    return this.state.is === 'closed';
  }

  private isBeingClosed(): MarsError {
    return new MarsError(ErrorCode.BRICK_BUSY, `stack "${this.name}" is being closed`, { hint: 'Start it again.' });
  }
}

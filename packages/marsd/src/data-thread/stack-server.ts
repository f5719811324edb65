import { InvariantError, invariant } from '@mars/brick-core';
import { Redactor, type StackHandle } from '@mars/stack';
import { errorToData } from './error-data.js';
import { EventMailbox } from './event-mailbox.js';
import type { FromStack, OpenRequest, StackCall, ToStack } from './messages.js';

/**
 * The thread's side: performs the calls of the owner on the stack, and sends what the stack tells. What happened before an
 * answer arrives before it; calls are bounded, so the port is, too.
 */
export class StackServer {
  private stack: StackHandle | null = null;
  private redactor = new Redactor({});
  private readonly mailbox = new EventMailbox((event) => this.post({ kind: 'event', event }));

  constructor(
    private readonly post: (message: FromStack) => void,
    private readonly open: (request: OpenRequest) => StackHandle,
  ) {}

  heard(message: ToStack): void {
    if (message.kind === 'seen') this.mailbox.seen(message.count);
    else void this.answer(message);
  }

  private async answer(call: StackCall): Promise<void> {
    const { id } = call;
    try {
      const value = await this.perform(call);
      this.mailbox.flush();
      this.post({ kind: 'answer', id, value });
    } catch (error) {
      // Our own mistake ends the thread, as it would end the process without one.
      if (error instanceof InvariantError) throw error;
      this.post({ kind: 'refusal', id, error: this.redactor.data(errorToData(error)) });
    }
  }

  private async perform(call: StackCall): Promise<unknown> {
    if (call.kind === 'open') return this.begin(call.request);
    const { stack } = this;
    invariant(stack !== null, 'the first call opens the stack');
    if (call.method === 'apply' && call.args[1] !== undefined)
      this.redactor = new Redactor(call.args[1] as Record<string, string>);
    const method = stack[call.method] as (...args: unknown[]) => Promise<unknown>;
    const value = await method.apply(stack, call.args);
    // What the owner answers with when this thread is gone.
    return call.method === 'close' ? stack.status() : value;
  }

  private begin(request: OpenRequest): void {
    this.redactor = new Redactor(request.secrets);
    this.stack = this.open(request);
    this.stack.subscribe((event) => this.mailbox.push(event));
  }
}

import assert from 'node:assert/strict';
import { ErrorCode, MarsError, isMarsError } from '@mars/brick-core';
import { StackFileError, type StackHandle } from '@mars/stack';
import { errorFromData, errorToData } from './error-data.js';
import { MAX_CALLS_UNDER_WAY } from './limits.js';
import type { FromStack, ToStack } from './messages.js';
import { RemoteStack } from './remote-stack.js';
import { StackServer } from './stack-server.js';

describe('The two ends of a stack in a thread', () => {
  it('refuse a call too many to a stack that does not answer, and every waiting one when it is gone', async () => {
    const remote = new RemoteStack(
      'mute',
      () => {},
      () => Promise.resolve(),
    );
    const calls = Array.from({ length: MAX_CALLS_UNDER_WAY }, () => remote.status());
    await refused(remote.status(), ErrorCode.LIMIT_REACHED);
    remote.ended(new Error('it hung'));
    const outcomes = await Promise.allSettled(calls);
    assert.ok(outcomes.every((one) => one.status === 'rejected' && one.reason.code === ErrorCode.DATA_THREAD_DIED));
  });

  it('refuse what cannot be copied, and go on', async () => {
    const asked: unknown[] = [];
    const remote = connect({ setParam: async (...args: unknown[]) => void asked.push(args) });
    await remote.open({ plan: {} as never, secrets: {}, facts: {} });
    await assert.rejects(
      remote.setParam('a', 'b', () => {}),
      { name: 'DataCloneError' },
    );
    await remote.setParam('a', 'b', { deep: [1n] });
    assert.deepEqual(asked, [['a', 'b', { deep: [1n] }]]);
  });

  it('take secrets out of errors: text, hint, details and cause', async () => {
    const secret = 'hunter2';
    const error = new MarsError(ErrorCode.FILE_OPEN, `no ${secret}`, {
      hint: `not ${secret}`,
      cause: new Error(`why ${secret}`),
      details: { path: `/x/${secret}` },
    });
    const remote = connect({ settled: () => Promise.reject(error) });
    await remote.open({ plan: {} as never, secrets: { key: secret }, facts: {} });
    await assert.rejects(remote.settled(), (got: unknown) => {
      assert.ok(isMarsError(got));
      assert.deepEqual(
        [got.code, got.message, got.hint, got.cause, got.details],
        [ErrorCode.FILE_OPEN, 'no ***', 'not ***', 'why ***', { path: '/x/***' }],
      );
      return true;
    });
  });

  it('carry every problem of a stack file, with its place', () => {
    const place = { file: 'a.yaml', line: 3, column: 5 };
    const problems = [new MarsError(ErrorCode.BAD_OVERLAY, 'one', { place }), new MarsError(ErrorCode.BAD_WIRE, 'two')];
    const back = errorFromData(structuredClone(errorToData(new StackFileError(problems))));
    assert.ok(back instanceof StackFileError);
    assert.deepEqual(back.toJSON(), new StackFileError(problems).toJSON());
  });

  it('lose the details of an error that cannot be copied, not the error', () => {
    const error = new MarsError(ErrorCode.SOCKET, 'x', { details: { callback: () => {} } });
    assert.deepEqual(errorToData(error), { code: 'SOCKET', message: 'x', details: {} });
  });

  /** Both ends in this thread, everything copied that passes. */
  function connect(methods: Partial<StackHandle>): RemoteStack {
    const stack = { subscribe: () => () => {}, ...methods } as StackHandle;
    const toOwner = (message: FromStack): void => remote.heard(structuredClone(message));
    const server = new StackServer(toOwner, () => stack);
    const toThread = (message: ToStack): void => {
      const copy = structuredClone(message);
      queueMicrotask(() => server.heard(copy));
    };
    const remote: RemoteStack = new RemoteStack('fake', toThread, () => Promise.resolve());
    return remote;
  }

  async function refused(promise: Promise<unknown>, code: string): Promise<void> {
    await assert.rejects(promise, (error: unknown) => isMarsError(error) && error.code === code);
  }
});

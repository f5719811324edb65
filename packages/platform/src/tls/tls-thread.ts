// The thread where TLS of io_uring sockets ends: an ordinary event loop, and the cipher's CPU time off the data path.
import { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { parentPort, workerData } from 'node:worker_threads';
import { causeText, invariant } from '@mars/brick-core';
import { native } from '../native.js';
import { join, peerName, shakeHands, shakeHandsAsClient } from './handshake.js';
import type { FromTlsThread, ToTlsThread } from './messages.js';

const port = parentPort;
invariant(port && native, 'the TLS thread is started by TlsThread, where there is an addon');
const { socketpair, wakeRing } = native;
const { wakeHandle } = workerData as { wakeHandle: number };
const underWay = new Map<number, AbortController>();

port.on('message', (message: ToTlsThread) => {
  if (message.kind === 'abort') underWay.get(message.id)?.abort(new Error('given up'));
  else void secure(message);
});

type Task = Exclude<ToTlsThread, { kind: 'abort' }>;

function handshake(task: Task, signal: AbortSignal): Promise<TLSSocket> {
  const stream = streamOf(task.fd);
  if (task.kind === 'accept') return shakeHands(stream, task.material, signal);
  return shakeHandsAsClient(stream, task.material, signal);
}

async function secure(task: Task): Promise<void> {
  const { id } = task;
  const abort = new AbortController();
  underWay.set(id, abort);
  try {
    const tls = await handshake(task, abort.signal);
    const pair = socketpair();
    if (typeof pair === 'number') {
      tls.destroy();
      throw new Error(`no socket pair, errno ${-pair}`);
    }
    join(tls, streamOf(pair[1]));
    answer({ kind: 'secure', id, fd: pair[0], name: peerName(tls) });
  } catch (error) {
    answer({ kind: 'failed', id, text: causeText(error) });
  } finally {
    underWay.delete(id);
  }
}

function streamOf(fd: number): Socket {
  return new Socket({ fd, readable: true, writable: true });
}

function answer(message: FromTlsThread): void {
  port!.postMessage(message);
  if (wakeHandle > 0) wakeRing(wakeHandle);
}

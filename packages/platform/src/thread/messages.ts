/** What travels between a loop thread and the thread that started it; `body` is plain data of the users. */
export type ToThread = { kind: 'message'; body: unknown } | { kind: 'stop' };

export type FromThread =
  | { kind: 'ready'; wakeHandle: number; ringKind: string }
  | { kind: 'message'; body: unknown }
  | { kind: 'log'; line: string };

/** What a thread is given at its start. */
export interface ThreadStart {
  loopThread: true;
  data: unknown;
}

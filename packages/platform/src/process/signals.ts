export type StopSignal = 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'SIGUSR1' | 'SIGUSR2';

/**
 * Calls `handler` for each of the signals. A second SIGINT or SIGTERM while the first is being handled ends the process at
 * once (status 128 + number): an operator who insists is right. Main thread only.
 * @returns removes the handlers
 */
export function onSignal(signals: readonly StopSignal[], handler: (signal: StopSignal) => void): () => void {
  let stopping = false;
  const listener = (signal: NodeJS.Signals, number: number): void => {
    const stops = signal === 'SIGINT' || signal === 'SIGTERM';
    if (stops && stopping) process.exit(128 + number);
    stopping ||= stops;
    handler(signal as StopSignal);
  };
  for (const signal of signals) process.on(signal, listener);
  return () => {
    for (const signal of signals) process.off(signal, listener);
  };
}

import { EMPTY, Observable, catchError, filter, from, map, shareReplay, startWith, switchMap } from 'rxjs';
import type { StackEvent, StackHandle, StackStatus } from './handle.js';

/**
 * Status of a running stack: replays its last value, follows every change of leds and wires, never errors, ends when the
 * stack is closed or its thread has died. Counters are as old as the last change; ask `statistics()` for fresh ones.
 */
export function stackStatus$(stack: StackHandle): Observable<StackStatus> {
  const events$ = new Observable<StackEvent>((subscriber) =>
    stack.subscribe((event) =>
      event.kind === 'closed' || event.kind === 'died' ? subscriber.complete() : subscriber.next(event),
    ),
  );
  return events$.pipe(
    filter((event) => event.kind !== 'fact'),
    map(() => undefined),
    startWith(undefined),
    // Only a stack whose thread died refuses to say how it is, and then the stream ends.
    switchMap(() => from(stack.status()).pipe(catchError(() => EMPTY))),
    shareReplay({ bufferSize: 1, refCount: true }),
  );
}

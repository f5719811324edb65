import { Observable, switchMap, filter, map, shareReplay, startWith } from 'rxjs';
import type { StackEvent, StackHandle, StackStatus } from './handle.js';

/**
 * Status of a running stack: replays its last value, follows every change of leds and wires, never errors, ends when the
 * stack is closed. Counters are as old as the last change; ask `statistics()` for fresh ones.
 */
export function stackStatus$(stack: StackHandle): Observable<StackStatus> {
  const events$ = new Observable<StackEvent>((subscriber) =>
    stack.subscribe((event) => (event.kind === 'closed' ? subscriber.complete() : subscriber.next(event))),
  );
  return events$.pipe(
    filter((event) => event.kind !== 'fact'),
    map(() => undefined),
    startWith(undefined),
    switchMap(() => stack.status()),
    shareReplay({ bufferSize: 1, refCount: true }),
  );
}

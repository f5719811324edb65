import type { StackEvent } from '@mars/stack';
import { MAX_EVENTS_UNDER_WAY, MAX_EVENTS_WAITING } from './limits.js';

/**
 * Sends events to an owner who may be slow. A message port queues without bound, so only so many travel at a time; the rest
 * waits here, and of those that tell about the same thing only the last is kept. Nothing that lasts is lost: leds, facts and
 * what bricks threw arrive in the end; only repeated steps become one.
 */
export class EventMailbox {
  private underWay = 0;
  private readonly waiting = new Map<string, StackEvent>();

  constructor(private readonly send: (event: StackEvent) => void) {}

  push(event: StackEvent): void {
    if (this.underWay < MAX_EVENTS_UNDER_WAY) return this.post(event);
    const subject = subjectOf(event);
    // Taken out first, so that it takes its place behind what happened before.
    this.waiting.delete(subject);
    this.waiting.set(subject, event);
    if (this.waiting.size > MAX_EVENTS_WAITING) this.waiting.delete(this.waiting.keys().next().value!);
  }

  /** The owner has handed on so many more. */
  seen(count: number): void {
    this.underWay -= count;
    for (const [subject, event] of this.waiting) {
      if (this.underWay >= MAX_EVENTS_UNDER_WAY) return;
      this.waiting.delete(subject);
      this.post(event);
    }
  }

  /** Sends everything that waits: before an answer, so that it tells of nothing that the events have not told yet. */
  flush(): void {
    for (const event of this.waiting.values()) this.post(event);
    this.waiting.clear();
  }

  private post(event: StackEvent): void {
    this.underWay++;
    this.send(event);
  }
}

function subjectOf(event: StackEvent): string {
  switch (event.kind) {
    case 'led':
    case 'threw':
      return `${event.kind} ${event.brick}`;
    case 'fact':
      return `fact ${event.brick} ${event.name}`;
    case 'step':
      return `step ${event.text}`;
    default:
      return event.kind;
  }
}

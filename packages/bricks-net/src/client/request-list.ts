import { invariant, type XioObject } from '@mars/brick-core';
import type { ClientLane } from './lane.js';

/** What the client remembers about a request; its aspect. */
export class Ticket {
  /** Number on the wire; 0 = not in any list. */
  id = 0.5;
  issuedUs = 0.5;
  /** The lane that it was sent on; null while it waits. */
  lane: ClientLane | null = null;
  /** Connections that may still read its payload: it must not be answered before they have let go of it. */
  lent = 0;
  /** FLUSH: changes that had been answered when it was issued. */
  covers = 0;
  /** Answered meanwhile, with this; handed on when the payload is ours again. */
  lateErr: number | null = null;
  prev: XioObject | null = null;
  next: XioObject | null = null;
  list: RequestList | null = null;

  constructor() {
    this.id = this.issuedUs = 0;
  }
}

/** Requests in the order of their numbers; a request is in one list at most. No allocation. */
export class RequestList {
  head: XioObject | null = null;
  private tail: XioObject | null = null;
  length = 0;

  constructor(private readonly slot: number) {}

  ticketOf(o: XioObject): Ticket {
    return o.aspects[this.slot] as Ticket;
  }

  next(o: XioObject): XioObject | null {
    return this.ticketOf(o).next;
  }

  /** Puts it where its number says; cheap at the end, where it almost always belongs. */
  insert(o: XioObject): void {
    const ticket = this.ticketOf(o);
    invariant(ticket.list === null, 'a request of a client stands in two lists');
    let behind = this.tail;
    while (behind !== null && this.ticketOf(behind).id > ticket.id) behind = this.ticketOf(behind).prev;
    ticket.list = this;
    ticket.prev = behind;
    ticket.next = behind === null ? this.head : this.ticketOf(behind).next;
    if (behind === null) this.head = o;
    else this.ticketOf(behind).next = o;
    if (ticket.next === null) this.tail = o;
    else this.ticketOf(ticket.next).prev = o;
    this.length++;
  }

  remove(o: XioObject): void {
    const ticket = this.ticketOf(o);
    invariant(ticket.list === this, 'a request of a client is taken out of a list that it is not in');
    if (ticket.prev === null) this.head = ticket.next;
    else this.ticketOf(ticket.prev).next = ticket.next;
    if (ticket.next === null) this.tail = ticket.prev;
    else this.ticketOf(ticket.next).prev = ticket.prev;
    ticket.prev = ticket.next = null;
    ticket.list = null;
    this.length--;
  }
}

import {
  Brick,
  BrickBase,
  EACCES,
  EBUSY,
  XioInfo,
  inject,
  maskOps,
  type Counter,
  type XioInput,
  type XioObject,
} from '@mars/brick-core';
import type { Channel } from '@mars/wire';
import { BRICK_NET, refusal, type BrickNet, type OpenMessage } from '../brick-net.js';
import { CREDIT_BYTES, CREDIT_REQUESTS, MAX_LANES, MAX_SESSIONS, NO_MEMORY_RETRY_MS } from '../limits.js';
import { INFO, OPENED, READS, infoMessage, type InfoMessage } from '../protocol.js';
import { LanePlace, ServerLane, type LaneOwner } from './lane.js';

/**
 * Lets other hosts use the brick below, by a name. Read-only unless `write` is set.
 *
 * Every client has a session with some lanes, each a channel of its own. When a channel breaks, its requests may still be under way
 * below; the client opens the lane anew, and is let in only when all of them have been answered. So a write that is sent again never meets
 * its own older copy, and never overtakes what came after it (bricks.md 2.10).
 *
 * Source: bricks.md 3.7
 */
@Brick({
  type: 'server',
  about: 'Exports the brick below to other hosts.',
  inputs: {
    next: {
      about: 'what is exported',
      needs: { digests: true },
      share: ['read', 'write', 'resize'],
    },
  },
  params: {
    properties: {
      export: { type: 'string', minLength: 1, maxLength: 255, about: 'Name under which clients ask for it.' },
      write: { type: 'boolean', default: false, about: 'Clients may change it.' },
      creditRequests: {
        type: 'integer',
        default: CREDIT_REQUESTS,
        minimum: 1,
        about: 'Requests that one lane of a client may have under way.',
      },
      creditBytes: {
        unit: 'bytes',
        default: CREDIT_BYTES,
        minimum: 1024 * 1024,
        about: 'Payload of the requests that one lane of a client may have under way.',
      },
    },
    required: ['export'],
  },
})
export class ServerBrick extends BrickBase implements LaneOwner {
  private next!: XioInput;
  private withdraw: (() => void) | null = null;
  /** By session, then by lane. */
  private readonly sessions = new Map<string, LanePlace[]>();
  private isServing = false;
  private isRetryPending = false;
  private readBytes!: Counter;
  private writtenBytes!: Counter;
  private requests!: Counter;

  constructor(@inject(BRICK_NET) private readonly net: BrickNet) {
    super();
  }

  protected override attached(): void {
    this.next = this.input('next');
    this.requests = this.ctx.counter('requests');
    this.readBytes = this.ctx.counter('bytes_read');
    this.writtenBytes = this.ctx.counter('bytes_written');
  }

  protected override start(): void {
    this.isServing = true;
    this.withdraw = this.net.offer(this.ctx.params.export as string, (channel, open) => this.accept(channel, open));
    this.publishClients();
  }

  protected override draining(): void {
    this.isServing = false;
    this.withdraw?.();
    this.withdraw = null;
    this.eachLane((lane) => lane.close());
  }

  protected override stop(): void {
    this.sessions.clear();
    this.publishClients();
  }

  protected override inputChanged(): void {
    const message = this.infoMessage();
    this.eachLane((lane) => void lane.channel.send(INFO, message));
  }

  override endBatch(): void {
    this.eachLane((lane) => lane.pump());
  }

  private accept(channel: Channel, open: OpenMessage): void {
    const refuse = (errno: number, text: string): void => {
      channel.send(OPENED, refusal(errno, text));
      channel.close();
    };
    if (!this.isServing) return refuse(EBUSY, 'the export is going off');
    if (open.write && !this.mayWrite) return refuse(EACCES, `"${open.export}" is exported read-only`);
    if (open.lane < 0 || open.lane >= MAX_LANES) return refuse(EACCES, `there is no lane ${open.lane}`);
    // The name of the host is part of the key: nobody takes part in a session of somebody else.
    const key = `${channel.remote.host}/${open.session}`;
    if (!this.sessions.has(key) && this.sessions.size >= MAX_SESSIONS) return refuse(EBUSY, 'too many clients');
    const place = this.placeOf(key, open.lane);
    const older = place.current;
    const lane = new ServerLane(channel, this, open.lane === 0 && open.write && this.mayWrite, place);
    place.current = lane;
    older?.close();
    place.onQuiet = () => this.quiet(key, place);
    this.publishClients();
    this.quiet(key, place);
  }

  private placeOf(key: string, nr: number): LanePlace {
    const places = this.sessions.get(key) ?? [];
    this.sessions.set(key, places);
    while (places.length <= nr) places.push(new LanePlace());
    return places[nr]!;
  }

  /** Nothing of this lane is under way below: whoever waits comes in, and what nobody uses is forgotten. */
  private quiet(key: string, place: LanePlace): void {
    if (place.flying > 0) return;
    const lane = place.current;
    if (lane?.channel.isOpen === true) return this.welcome(lane);
    place.current = null;
    const places = this.sessions.get(key);
    if (places?.every((each) => each.current === null && each.flying === 0) === true) this.sessions.delete(key);
    this.publishClients();
  }

  private welcome(lane: ServerLane): void {
    if (!this.isServing || lane.isBegun) return;
    lane.begin();
    lane.channel.send(OPENED, {
      errno: 0,
      text: '',
      info: this.infoMessage(),
      creditRequests: this.ctx.params.creditRequests as number,
      creditBytes: this.ctx.params.creditBytes as number,
      bootId: this.net.bootId,
    });
  }

  private eachLane(act: (lane: ServerLane) => void): void {
    for (const places of this.sessions.values()) for (const { current } of places) if (current !== null) act(current);
  }

  private infoMessage(): InfoMessage {
    const info = new XioInfo().copyFrom(this.next.cached);
    if (!this.mayWrite) maskOps(info, READS);
    return infoMessage(info);
  }

  private publishClients(): void {
    let lanes = 0;
    this.eachLane((lane) => void (lanes += lane.channel.isOpen ? 1 : 0));
    this.ctx.publish('clients', this.sessions.size);
    this.ctx.publish('lanes', lanes);
  }

  private get mayWrite(): boolean {
    return this.ctx.params.write as boolean;
  }

  // What lanes need of their brick.

  take(payloadBytes: number): XioObject | null {
    return this.ctx.pool.take(this, payloadBytes);
  }

  send(o: XioObject): void {
    this.requests.n++;
    o.push(this);
    this.next.io(o);
  }

  free(o: XioObject): void {
    this.ctx.pool.free(o);
  }

  get memory(): Uint8Array {
    return this.ctx.mem.u8;
  }

  get slot(): number {
    return this.ctx.slot;
  }

  count(readBytes: number, writtenBytes: number): void {
    this.readBytes.n += readBytes;
    this.writtenBytes.n += writtenBytes;
  }

  wakeLater(): void {
    this.plug();
  }

  retryLater(): void {
    if (this.isRetryPending) return;
    this.isRetryPending = true;
    this.ctx.loop.after(NO_MEMORY_RETRY_MS, this, retry, this);
  }

  /** The one timer of {@link retryLater} has come. */
  retryNow(): void {
    this.isRetryPending = false;
    this.plug();
  }

  complete(o: XioObject): void {
    ServerLane.answered(o, this.ctx.slot);
    this.plug();
  }
}

function retry(server: ServerBrick): void {
  server.retryNow();
}

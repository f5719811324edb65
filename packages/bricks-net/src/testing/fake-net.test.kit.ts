import { MarsError, invariant, type Loop, type Random } from '@mars/brick-core';
import type {
  Channel,
  ChannelStats,
  Fields,
  MessageOf,
  PeerLinkApi,
  PeerLinkEvents,
  PeerNetApi,
  RawOptions,
  RawReceiver,
  Struct,
} from '@mars/wire';

type AnyReceiver = RawReceiver<unknown>;
type AnyHandler = (message: unknown, stampNs: bigint) => void;

/** What travels: a message, or a raw frame with its payload copied. */
type Parcel = { struct: string; message: unknown; payload: Uint8Array | null };

/**
 * Channels between bricks of one loop, with latency and with breaks, under virtual time. Payloads arrive in pieces; lent memory is given
 * back late, so that a client that answers too early is found out.
 */
export class FakeNet implements Pick<PeerNetApi, 'serve' | 'link'> {
  latencyMs = 1;
  /** New channels come into being. */
  isUp = true;
  /** Payloads that went over the net. */
  carriedBytes = 0;
  private accept: ((channel: Channel) => void) | null = null;
  readonly open: FakeChannel[] = [];

  constructor(
    readonly loop: Loop,
    readonly random: Random,
  ) {}

  serve(_purpose: string, accept: (channel: Channel) => void): void {
    this.accept = accept;
  }

  link(host: string, address: unknown, _purpose: string, events: PeerLinkEvents): PeerLinkApi {
    return new FakeLink(this, host, address, events) as unknown as PeerLinkApi;
  }

  /** Breaks every channel, or one. */
  breakAll(): void {
    for (const channel of [...this.open]) channel.shatter();
  }

  connect(): FakeChannel {
    const near = new FakeChannel(this);
    const far = new FakeChannel(this);
    near.other = far;
    far.other = near;
    this.open.push(near);
    this.accept!(far);
    return near;
  }
}

class FakeLink {
  channel: FakeChannel | null = null;
  private isStarted = false;

  constructor(
    private readonly net: FakeNet,
    readonly host: string,
    readonly address: unknown,
    private readonly events: PeerLinkEvents,
  ) {}

  start(): void {
    this.isStarted = true;
    this.attempt();
  }

  stop(): void {
    this.isStarted = false;
    const { channel } = this;
    this.channel = null;
    channel?.close();
  }

  kick(): void {}
  setAddress(): void {}

  private attempt(): void {
    this.net.loop.after(this.net.latencyMs + 1, undefined, () => {
      if (!this.isStarted || this.channel !== null) return;
      if (!this.net.isUp) return this.attempt();
      const channel = this.net.connect();
      this.channel = channel;
      channel.onClose((error) => {
        if (this.channel !== channel) return;
        this.channel = null;
        this.events.down?.(error);
        if (this.isStarted) this.attempt();
      });
      this.events.up(channel);
    });
  }
}

export class FakeChannel implements Channel {
  other!: FakeChannel;
  readonly remote = { host: 'peer', purpose: 'bricks', version: '1', capabilities: new Set<string>() };
  readonly address = 'memory';
  readonly peer = null;
  readonly stats = {} as ChannelStats;
  isOpen = true;
  private isStarted = false;
  private isPaused = false;
  private readonly handlers = new Map<string, AnyHandler>();
  private readonly receivers = new Map<string, AnyReceiver>();
  private readonly inbox: Parcel[] = [];
  private closeHandlers: ((error: MarsError | null) => void)[] = [];
  private readonly lent: (() => void)[] = [];

  constructor(private readonly net: FakeNet) {}

  on<F extends Fields>(struct: Struct<F>, handler: (message: MessageOf<Struct<F>>, stampNs: bigint) => void): void {
    this.handlers.set(struct.name, handler as AnyHandler);
  }

  onRaw<F extends Fields>(struct: Struct<F>, receiver: RawReceiver<MessageOf<Struct<F>>>): void {
    this.receivers.set(struct.name, receiver);
  }

  start(): void {
    this.isStarted = true;
    this.drain();
  }

  send<F extends Fields>(struct: Struct<F>, message: MessageOf<Struct<F>>): boolean {
    return this.ship({ struct: struct.name, message: { ...(message as object) }, payload: null });
  }

  sendRaw<F extends Fields>(
    struct: Struct<F>,
    header: MessageOf<Struct<F>>,
    payload: Uint8Array,
    options: RawOptions = {},
  ): boolean {
    const { done } = options;
    if (!this.isOpen) {
      if (done) this.net.loop.after(0, done, run);
      return false;
    }
    if (done) {
      // The bytes are read late, as a slow socket does it.
      this.lent.push(done);
      this.net.loop.after(this.net.latencyMs / 2, undefined, () => {
        if (!this.lent.includes(done)) return;
        this.lent.splice(this.lent.indexOf(done), 1);
        this.ship({ struct: struct.name, message: { ...(header as object) }, payload: payload.slice() });
        done();
      });
      return true;
    }
    return this.ship({ struct: struct.name, message: { ...(header as object) }, payload: payload.slice() });
  }

  onDrain(): void {}

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    this.drain();
  }

  onClose(handler: (error: MarsError | null) => void): void {
    this.closeHandlers.push(handler);
  }

  close(): void {
    const { other } = this;
    this.net.loop.after(this.net.latencyMs, undefined, () => other.end(null));
    this.end(null);
  }

  /** As if the cable was cut: each side learns of it in its own time. */
  shatter(): void {
    this.net.loop.after(this.net.random.int(5), undefined, () => this.end(broken()));
    this.net.loop.after(this.net.random.int(50), undefined, () => this.other.end(broken()));
    this.isCut = this.other.isCut = true;
  }

  private isCut = false;

  end(error: MarsError | null): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    const index = this.net.open.indexOf(this);
    if (index >= 0) this.net.open.splice(index, 1);
    for (const done of this.lent.splice(0)) this.net.loop.after(3, done, run);
    for (const handler of this.closeHandlers) handler(error);
  }

  private ship(parcel: Parcel): boolean {
    if (!this.isOpen) return false;
    this.net.carriedBytes += parcel.payload?.length ?? 0;
    this.net.loop.after(this.net.latencyMs, parcel, (arrived) => {
      // What has left before the cut may still arrive, and what is queued behind it may not.
      if (this.isCut && this.net.random.int(2) === 0) return void (this.other.isDeaf = true);
      this.other.arrive(arrived);
    });
    return true;
  }

  private isDeaf = false;

  private arrive(parcel: Parcel): void {
    if (!this.isOpen || this.isDeaf) return;
    this.inbox.push(parcel);
    this.drain();
  }

  private drain(): void {
    while (this.isStarted && !this.isPaused && this.inbox.length > 0) this.deliver(this.inbox.shift()!);
  }

  private deliver({ struct, message, payload }: Parcel): void {
    if (payload === null) return this.handlers.get(struct)?.(message, 0n);
    const receiver = this.receivers.get(struct);
    invariant(receiver !== undefined, `nobody receives ${struct}`);
    receiver.begin(message, payload.length, 0n);
    for (let at = 0; at < payload.length; at += 50_000) {
      if (!this.isOpen) return;
      receiver.data(payload.subarray(at, at + 50_000));
    }
    receiver.end();
  }
}

function broken(): MarsError {
  return new MarsError('SOCKET', 'the cable was cut');
}

function run(done: () => void): void {
  done();
}

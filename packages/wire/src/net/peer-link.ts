import {
  ErrorCode,
  MarsError,
  isMarsError,
  type Clock,
  type Logger,
  type NetAddress,
  type Random,
} from '@mars/brick-core';
import type { Channel, Purpose } from '../channel/types.js';
import { BACK_OFF_FIRST_MS, BACK_OFF_JITTER, BACK_OFF_MAX_MS } from '../limits.js';
import type { PeerLinkApi, PeerLinkEvents, PeerLinkStatus } from './types.js';

/** A channel that lasted as long as this was a good one: the next attempt comes soon. */
const GOOD_AFTER_MS = 5_000;

export interface LinkOwner {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  connect(host: string, address: NetAddress, purpose: Purpose, options: { signal: AbortSignal }): Promise<Channel>;
}

/** Keeps one channel to one host; see {@link PeerLinkApi}. */
export class PeerLink implements PeerLinkApi {
  channel: Channel | null = null;
  private state: PeerLinkStatus['state'] = 'off';
  private attempts = 0;
  /** Failures since the last good channel; decides how long to wait. */
  private failures = 0;
  private lastError: MarsError | null = null;
  private loggedError = '';
  private certificateExpiresMs: number | null = null;
  private upSinceUs = 0;
  /** Counts what makes older timers and attempts meaningless. */
  private era = 0;
  private abort: AbortController | null = null;

  constructor(
    private readonly owner: LinkOwner,
    readonly host: string,
    private address: NetAddress,
    private readonly purpose: Purpose,
    private readonly events: PeerLinkEvents,
    private readonly stopped: (link: PeerLink) => void,
  ) {}

  get status(): PeerLinkStatus {
    const { host, address, state, attempts, lastError, certificateExpiresMs } = this;
    return { host, address, state, attempts, lastError, certificateExpiresMs };
  }

  start(): void {
    if (this.state === 'off') this.attempt();
  }

  stop(): void {
    this.state = 'off';
    this.leave();
    this.stopped(this);
  }

  kick(): void {
    if (this.state === 'waiting') this.attempt();
  }

  setAddress(address: NetAddress): void {
    if (JSON.stringify(address) === JSON.stringify(this.address)) return;
    this.address = address;
    if (this.state === 'off') return;
    const wasUp = this.state === 'up';
    this.leave();
    if (wasUp) this.events.down?.(null);
    this.failures = 0;
    this.attempt();
  }

  /** Ends what is under way without a word to `events`. */
  private leave(): void {
    this.era++;
    this.abort?.abort(new MarsError(ErrorCode.SOCKET, 'the connection is not wanted any more'));
    this.abort = null;
    const { channel } = this;
    this.channel = null;
    channel?.close();
  }

  private attempt(): void {
    const era = ++this.era;
    this.state = 'connecting';
    this.attempts++;
    const abort = (this.abort = new AbortController());
    const { host, address, purpose } = this;
    this.owner.connect(host, address, purpose, { signal: abort.signal }).then(
      (channel) => (era === this.era ? this.isUp(channel, era) : channel.close()),
      (error: unknown) => {
        if (!isMarsError(error)) throw error;
        if (era === this.era) this.failed(error);
      },
    );
  }

  private isUp(channel: Channel, era: number): void {
    const { owner, host } = this;
    this.state = 'up';
    this.channel = channel;
    this.attempts = 0;
    this.lastError = null;
    this.loggedError = '';
    this.upSinceUs = owner.clock.nowUs;
    this.certificateExpiresMs = channel.peer?.expiresMs ?? null;
    owner.log.info({ host, purpose: this.purpose, address: channel.address }, 'peer connected');
    channel.onClose((error) => {
      if (era === this.era) this.isDown(error);
    });
    this.events.up(channel);
  }

  private isDown(error: MarsError | null): void {
    const { clock } = this.owner;
    this.channel = null;
    if (clock.nowUs - this.upSinceUs > GOOD_AFTER_MS * 1000) this.failures = 0;
    this.failed(error);
    this.events.down?.(error);
  }

  private failed(error: MarsError | null): void {
    const { owner, host, purpose } = this;
    if (error !== null) {
      this.lastError = error;
      const kind = `${error.code} ${String(error.details['reason'])}`;
      if (kind !== this.loggedError) owner.log.warn({ host, purpose, err: error }, 'no connection to peer');
      this.loggedError = kind;
    }
    this.state = 'waiting';
    const era = ++this.era;
    owner.clock.after(this.pauseMs(), this, (link) => {
      if (link.era === era && link.state === 'waiting') link.attempt();
    });
  }

  /** Grows from attempt to attempt; a part is chance, so that hosts that lost each other at once do not knock at once. */
  private pauseMs(): number {
    const longest = Math.min(BACK_OFF_FIRST_MS * 2 ** Math.min(this.failures++, 20), BACK_OFF_MAX_MS);
    return longest * (1 - BACK_OFF_JITTER * this.owner.random.float());
  }
}

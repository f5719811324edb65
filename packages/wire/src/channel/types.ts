import type { MarsError, SecurePeer } from '@mars/brick-core';
import type { Fields, MessageOf, Struct } from '../struct/struct.js';

/** What overtakes what when a peer is slow: `meta` the tree, `log` log files, `sync` whole disks. The order is the priority. */
export const TRAFFIC_CLASSES = ['meta', 'log', 'sync'] as const;
export type TrafficClass = (typeof TRAFFIC_CLASSES)[number];

/** Lamport stamps: given to every message that leaves, learned from every one that arrives. `LamportClock` fits after one line of glue. */
export interface Stamps {
  now(): bigint;
  /** `advanceLazy` of the Lamport clock (symlink-tree.md 4.2). */
  seen(stampNs: bigint): void;
}

/** What a connection is for; the accepting side hands it to whoever serves that. */
export type Purpose = 'tree' | 'join' | 'bricks' | (string & {});

/** What the other side said about itself. `host` was checked against its certificate before anybody sees this. */
export interface RemoteHello {
  readonly host: string;
  readonly purpose: Purpose;
  /** Of the program, for people. */
  readonly version: string;
  /** Things it can do that not everybody can; compare with `has`. */
  readonly capabilities: ReadonlySet<string>;
}

export interface ChannelStats {
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly sentMessages: number;
  readonly receivedMessages: number;
  /** Messages of structs that nobody here listens to; a newer peer may send some. */
  readonly ignoredMessages: number;
  /** What compression has spared, bytes. */
  readonly sparedBytes: number;
  /** Bytes that wait for the peer. */
  readonly queuedBytes: number;
  /** When anything last arrived, monotonic µs of the clock. */
  readonly lastHeardUs: number;
  /** Time of the last ping and its answer; -1 = none yet. */
  readonly roundTripMs: number;
}

/** Takes the payloads of raw frames piece by piece, as they arrive; nothing is collected in between. */
export interface RawReceiver<M> {
  begin(header: M, payloadBytes: number, stampNs: bigint): void;
  /** The bytes are yours only during this call. */
  data(bytes: Uint8Array): void;
  end(): void;
}

export interface RawOptions {
  class?: TrafficClass;
  /**
   * This many bytes in front of `payload`, in the same buffer, may be overwritten with the header: then header and payload leave in
   * one write. Arena buffers have `HEAD_ROOM_BYTES`.
   */
  headRoomBytes?: number;
  /** The payload is yours again. Without it the bytes are copied. Called exactly once, also when the channel breaks. */
  done?: () => void;
}

/**
 * A conversation with one host that has been admitted. Nothing is delivered before `start()`, so register handlers first.
 *
 * A handler that throws a `MarsError` ends the channel with it (the peer has sent nonsense); any other error is ours and stops the process.
 */
export interface Channel {
  readonly remote: RemoteHello;
  /** For people: `192.0.2.1:7777`. */
  readonly address: string;
  /** null in a plain-text cluster, and of a host that is joining. */
  readonly peer: SecurePeer | null;
  readonly isOpen: boolean;
  readonly stats: ChannelStats;

  on<F extends Fields>(struct: Struct<F>, handler: (message: MessageOf<Struct<F>>, stampNs: bigint) => void): void;
  onRaw<F extends Fields>(struct: Struct<F>, receiver: RawReceiver<MessageOf<Struct<F>>>): void;
  start(): void;

  /**
   * Encodes and queues one message (`meta` unless told otherwise); the object is yours again at once.
   * @returns false when much is waiting: send no more than you must before `onDrain`. On a closed channel: false, nothing happens
   * @throws MarsError WIRE_LIMIT: larger than MAX_MESSAGE_BYTES
   */
  send<F extends Fields>(struct: Struct<F>, message: MessageOf<Struct<F>>, trafficClass?: TrafficClass): boolean;
  /** A header and up to MAX_RAW_BYTES of payload that never become an object; `log` unless told otherwise. */
  sendRaw<F extends Fields>(
    struct: Struct<F>,
    header: MessageOf<Struct<F>>,
    payload: Uint8Array,
    options?: RawOptions,
  ): boolean;
  /** What waited has gone; called after a `send` that returned false. */
  onDrain(handler: () => void): void;

  /** Stops reading: back-pressure to the peer. Heartbeats stop as well, so not for longer than seconds. */
  pause(): void;
  resume(): void;

  /** Exactly once; `null` = one of us closed it in an orderly way. Code PEER_REFUSED when the peer shut us out. */
  onClose(handler: (error: MarsError | null) => void): void;
  /** Sends what waits, says good-bye (with the reason, if there is one), closes. */
  close(reason?: MarsError): void;
}

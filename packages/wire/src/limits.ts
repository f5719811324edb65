/** Every bound of the wire, with its unit and its reason. A peer that goes beyond one is cut off. */

/** One message, compressed or not, bytes. Long lists are sent in portions. */
export const MAX_MESSAGE_BYTES = 1024 * 1024;

/** Payload of one raw frame, bytes: the largest request (brick-core, MAX_REQUEST_BYTES) and more for log data. */
export const MAX_RAW_BYTES = 4 * 1024 * 1024;

/** The struct in front of the payload of a raw frame, bytes. */
export const MAX_RAW_HEADER_BYTES = 4096;

/** One frame from somebody who has not been admitted, bytes. A join answer with three certificates has about 4 KiB. */
export const MAX_HANDSHAKE_FRAME_BYTES = 16 * 1024;

/** All bytes of somebody who has not been admitted. */
export const MAX_HANDSHAKE_BYTES = 64 * 1024;

/** From the connection to the admission, ms; whoever sends byte after byte does not get more. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Connections that have not been admitted, all and of one address. */
export const MAX_PENDING = 64;
export const MAX_PENDING_PER_ADDRESS = 16;

/** Former certificates that may vouch for the next one, so hosts that were off for years (a life is one year) still know each other. */
export const MAX_SUCCESSIONS = 4;

/** Open channels of one host: one for the tree, up to four each for logs, sync and bricks, and old ones not yet noticed dead. */
export const MAX_CHANNELS_PER_HOST = 64;

/** Joins under way at one host. */
export const MAX_JOINS = 16;

/** Structs that a peer may define on one channel, and what each may be. */
export const MAX_STRUCTS = 256;
export const MAX_FIELDS = 64;
export const MAX_NAME_CHARS = 64;
export const MAX_NESTING = 8;

/** Bytes that wait in one channel for a slow peer before `send` says no, and before the channel is given up. */
export const SEND_HIGH_WATER_BYTES = 1024 * 1024;
export const MAX_SEND_QUEUE_BYTES = 16 * 1024 * 1024;

/** A channel that is closing has this long to send what waits, ms. */
export const CLOSE_TIMEOUT_MS = 2_000;

/** Text of a good-bye that is shown and logged, characters: it comes from somebody who may be anybody. */
export const MAX_BYE_CHARS = 300;

/** A ping after so much silence, and the end after so much more, ms. */
export const HEARTBEAT_MS = 5_000;
export const DEAD_AFTER_MS = 14_000;

/** Messages below this are not worth compressing, bytes. */
export const COMPRESS_FROM_BYTES = 1024;
/** Messages that are sent as they are, after one that compression did not make smaller; doubled each time up to the second. */
export const COMPRESS_PAUSE_FIRST = 8;
export const COMPRESS_PAUSE_MAX = 1024;

/** Waiting time between attempts of a peer link: first, longest (ms), and the part of it that is drawn by chance. */
export const BACK_OFF_FIRST_MS = 200;
export const BACK_OFF_MAX_MS = 5_000;
export const BACK_OFF_JITTER = 0.3;

/** A connection attempt, ms. */
export const CONNECT_TIMEOUT_MS = 5_000;

/** Distinct refusals that are remembered in order to log each only once; the oldest are forgotten. */
export const MAX_REMEMBERED_REFUSALS = 256;
/** The same refusal is logged again after this time, with the number of repeats, ms. */
export const REFUSAL_LOG_INTERVAL_MS = 3_600_000;

/** A join token is good for this long, ms. Source: decided.md, *Trust* */
export const TOKEN_LIFE_MS = 3_600_000;

/** Invitations that one host has open; each is a small file until it expires. */
export const MAX_OPEN_INVITES = 256;

/** From the connection to the answer of a join, ms. */
export const JOIN_TIMEOUT_MS = 20_000;

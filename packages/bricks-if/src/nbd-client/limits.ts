/** Every bound of the NBD client, with its unit and its reason. */

/** Connections to one server: more than cores of any server that we know of would only queue there. */
export const MAX_CLIENT_CONNECTIONS = 16;

/** Requests of one connection under way; more wait in the brick. */
export const CLIENT_DEPTH = 128;

/** Bytes between two request headers in their memory: 28, rounded up so that none of them straddles two cache lines. */
export const HEADER_STRIDE = 32;

/** Memory for request headers, and before that for the options of the handshake, bytes. */
export const HEADERS_BYTES = Math.max(CLIENT_DEPTH * HEADER_STRIDE, 3 * 4096);

/** Connecting, and the whole handshake behind it, each, ms: a server that is alive answers within moments. */
export const CONNECT_MS = 10_000;

/** Pauses between attempts to come back, ms: doubled from the first to the last. */
export const RECONNECT_FIRST_MS = 50;
export const RECONNECT_LAST_MS = 1_000;

/** Longest reply to an option, bytes: an export name, a description, a list of contexts. */
export const MAX_OPTION_REPLY_BYTES = 64 * 1024;

/** Replies to one handshake; a server that goes on is not an NBD server. */
export const MAX_OPTION_REPLIES = 1000;

/** Longest text that goes with an error, bytes (the protocol's longest string). */
export const MAX_ERROR_TEXT_BYTES = 4096;

/** Descriptors of one BLOCK_STATUS; qemu sends up to 128 Ki of them. */
export const MAX_STATUS_DESCRIPTORS = 1 << 20;

/** Separate pieces of one READ that have come; servers send in order, then there is one. */
export const MAX_PIECES = 64;

/** A name that is sent to the server, bytes (the protocol's longest string). */
export const MAX_EXPORT_NAME_BYTES = 4096;

/** A host name in parameters, characters (RFC 1035). */
export const MAX_HOSTNAME = 255;

/** Text of a server that goes into a log line, characters. */
export const MAX_SERVER_TEXT = 200;

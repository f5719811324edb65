/** Every bound of this package, with its unit and its reason. */

/** Requests that one client may have under way at one server: the window of a sync, and more. */
export const CREDIT_REQUESTS = 256;

/** Payload of the requests under way, both ways, bytes: 100 MB/s at a round trip of 300 ms. */
export const CREDIT_BYTES = 32 * 1024 * 1024;

/** Lanes (connections) of one client. */
export const MAX_LANES = 8;

/** A channel on which nobody opens an export is closed after this time, ms. */
export const OPEN_TIMEOUT_MS = 10_000;

/** Exports of one host, and sessions of one export. */
export const MAX_EXPORTS = 4096;
export const MAX_SESSIONS = 1024;

/** How often requests are looked at whether they wait for too long, ms. */
export const GIVE_UP_CHECK_MS = 250;

/** An export that refuses a client is asked again after this time, ms. */
export const REFUSED_RETRY_MS = 1000;

/** Without a free object or memory, and with nothing under way, a server looks again after this time, ms. */
export const NO_MEMORY_RETRY_MS = 1;

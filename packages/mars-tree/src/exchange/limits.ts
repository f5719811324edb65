/** Every bound of the exchange, with its unit and its reason. */

/** A node of the comparison with at most this many items is answered with the items, a larger one with the sums of its buckets. */
export const LEAF_ITEMS = 64;

/** Bits of a name's hash that one level of buckets looks at: 64 buckets. */
export const BUCKET_BITS = 6;
export const BUCKETS = 1 << BUCKET_BITS;

/** Levels of buckets that the 32 bits of a name's hash give. Below the last one a list is sent, however long. */
export const MAX_BUCKET_DEPTH = 5;

/** Nodes in one question. */
export const MAX_ASK_NODES = 64;

/** Questions that wait for their answers: enough to fill a long line, and little enough to merge without a noticeable pause. */
export const ASK_WINDOW = 4;

/** Facts in one message: about 20 ms of merging. */
export const MAX_MESSAGE_FACTS = 256;

/** Text of one message, bytes, before a further fact is left for the next one; a fact has at most 5 KiB. */
export const MAX_MESSAGE_TEXT = 192 * 1024;

/** What a peer may put into one list of a message before it is cut off; generous, so that limits of other releases may differ. */
export const MAX_RECEIVED_ITEMS = 16 * MAX_MESSAGE_FACTS;

/** Nodes that a round still has to ask about. Depth first, so a full tree needs a few thousand; beyond it the next round sees to the rest. */
export const MAX_PENDING_NODES = 50_000;

/** Nodes whose difference is known to be without meaning (a tombstone of something that the other side never had). */
export const MAX_SETTLED_NODES = 10_000;

/** Without an answer for so long a connection is closed, ms: the peer is busy with something else, or does not understand us. */
export const ANSWER_TIMEOUT_MS = 60_000;

/** Rounds in a row while each of them still finds something; then the usual interval. */
export const MAX_ROUNDS_IN_A_ROW = 4;

/** A round at least this often, ms: the safety net below the pushes. One small message each way when nothing differs. */
export const COMPARE_INTERVAL_MS = 30_000;

/** Part of it that is drawn by chance, so that hosts do not compare in step. */
export const COMPARE_JITTER = 0.3;

/** For hosts that hear each other through us only: their peers are asked to compare at most this often, ms, so that `alive` can follow. */
export const FOREIGN_PULSE_MS = 2_500;

/** Rounds that somebody asks for follow each other at least after so many ms (symlink-tree.md 3.7: 5 notifications per second). */
export const MIN_COMPARE_MS = 200;

/** Between the first change and its push, ms: what one program writes together is sent together. */
export const PUSH_DELAY_MS = 5;

/** Between two pushes to one peer, ms. */
export const PUSH_INTERVAL_MS = 50;

/** Changed paths that wait for one peer; beyond it they are forgotten, and the peer is told to compare. */
export const MAX_DIRTY_PATHS = 10_000;

/** Log files that are announced to one peer at a time, and those that are remembered of one peer: 100 for each of 1,000 resources. */
export const MAX_LOGS_PER_MESSAGE = 500;
export const MAX_PEER_LOGS = 100_000;

/** Resources about whose logs one peer may want to know. */
export const MAX_PEER_RESOURCES = 10_000;

/** Announcements of log sizes to one peer, ms apart: logs grow with every write. */
export const LOGS_INTERVAL_MS = 100;

/** Notifications to one peer, ms apart (symlink-tree.md 3.7: at most 5 per second). */
export const NOTIFY_INTERVAL_MS = 200;

/** `read-stamp` is written at most this often for one peer, ms. */
export const READ_STAMP_INTERVAL_MS = 5_000;

/**
 * What a peer has confirmed counts for the collection of tombstones after this time on our monotonic clock, ms. Two things must be over by
 * then: the peer could lose what it has merged in a power cut (file systems commit within 30 s), and older messages could still be under
 * way between others (the wire gives up a silent connection after 20 s).
 */
export const CONFIRM_AGE_MS = 60_000;

/** Pause between two collections of tombstones, ms; each looks at the tombstones only. */
export const COLLECT_INTERVAL_MS = 60_000;

/** A timer that comes this late says that this process stood still, ms: what waits in its connections is too old to be merged. */
export const STALL_MS = 20_000;

/** Period of that timer, ms. */
export const PULSE_MS = 1_000;

/** Links from one name in `ips/` to another until an address must come (symlink-tree.md 2.1). */
export const MAX_ADDRESS_HOPS = 3;

/** Peers of one host; a cluster has up to 64 hosts. */
export const MAX_PEERS = 256;

/** Pushed links and checks that wait for one peer; they are best effort. */
export const MAX_WAITING_PUSHES = 100;

/** A push that nobody answers is given up after this, ms. */
export const PUSH_LINK_TIMEOUT_MS = 10_000;

/** Stamps of `ips/ip-HOST` below this are preliminary: a join is going on (symlink-tree.md 3.9). */
export const PRELIMINARY_STAMP_S = 100;

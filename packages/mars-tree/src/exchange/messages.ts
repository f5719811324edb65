import { defineStruct, t, type MessageOf } from '@mars/wire';

/**
 * What two daemons say to each other on a channel of the purpose `tree`. Who says what when: docs/exchange.md. Paths of facts are relative to
 * `/mars`; those of `PUSH_LINK` and `PUSH_CHECK` are canonical, as in commands. Every message carries a Lamport stamp of its own.
 */

/** One link: path, value, stamp. A tombstone is a value like others. */
export const FACT = defineStruct('tree.fact', { path: t.str, value: t.str, stampNs: t.bigint });
export type FactMessage = MessageOf<typeof FACT>;

/** First message of both sides. */
export const HELLO = defineStruct('tree.hello', {
  /** `/mars/uuid`; empty = none. */
  uuid: t.str,
  /** Drawn at each start of a daemon: another one means that it may have lost recent links. */
  life: t.str,
  /** Hosts with which the sender has a channel now. */
  connected: t.list(t.str),
});

/** The sender's connections have changed: what it hears from one peer, it passes on to those who do not hear that peer themselves. */
export const CONNECTED = defineStruct('tree.connected', { hosts: t.list(t.str) });

/** A part of the tree and what the asker has there; `known` is a sum of the other side that it has dealt with already. */
export const ASK_NODE = defineStruct('tree.ask-node', {
  path: t.str,
  depth: t.int,
  bucket: t.int,
  hi: t.int,
  lo: t.int,
  knownHi: t.int,
  knownLo: t.int,
});
export type AskNode = MessageOf<typeof ASK_NODE>;

/** "Where you differ from this, tell me more." `isFirst`: a new round begins. */
export const ASK = defineStruct('tree.ask', { round: t.int, isFirst: t.bool, nodes: t.list(t.struct(ASK_NODE)) });

export const DIRECTORY_SUM = defineStruct('tree.directory-sum', { name: t.str, hi: t.int, lo: t.int });

/**
 * One node of an answer. `kind`: `same`; `buckets`: sums of its 64 parts, `hi` and `lo` in turn; `items`: everything in it, links with value and
 * stamp, directories with their sums.
 */
export const ANSWER_NODE = defineStruct('tree.answer-node', {
  kind: t.str,
  hi: t.int,
  lo: t.int,
  sums: t.list(t.int),
  facts: t.list(t.struct(FACT)),
  directories: t.list(t.struct(DIRECTORY_SUM)),
});
export type AnswerNode = MessageOf<typeof ANSWER_NODE>;

/** To the first so many nodes of the oldest unanswered question; the asker asks again for the rest. */
export const ANSWER = defineStruct('tree.answer', {
  round: t.int,
  uuid: t.str,
  nodes: t.list(t.struct(ANSWER_NODE)),
});

/** The sender has merged everything that the receiver had at `readNs`: the round is over. */
export const DONE = defineStruct('tree.done', { round: t.int, readNs: t.bigint });

/** "I could not push everything to you: compare." */
export const COMPARE = defineStruct('tree.compare', {});

/** Links that have changed. `completeNs` > 0: with this one you have everything that was mine at that stamp. */
export const PUSH = defineStruct('tree.push', { uuid: t.str, facts: t.list(t.struct(FACT)), completeNs: t.bigint });

/** "I want to know the logs of these resources; this is the sum of what I know of yours." */
export const ASK_LOGS = defineStruct('tree.ask-logs', {
  resources: t.list(t.struct(defineStruct('tree.logs-known', { resource: t.str, hi: t.int, lo: t.int }))),
});

/** Log files of the sender. `isAll`: what is not named is not there. A durable size of −1: it has gone. */
export const LOGS = defineStruct('tree.logs', {
  resource: t.str,
  isAll: t.bool,
  logs: t.list(t.struct(defineStruct('tree.log', { name: t.str, durableBytes: t.int }))),
});

/**
 * Write this link, with this stamp: that of the command, because a message that has to be sent again must not overwrite what is newer than the
 * command. Answered by `PUSHED`. Source: symlink-tree.md 3.7
 */
export const PUSH_LINK = defineStruct('tree.push-link', { id: t.int, path: t.str, value: t.str, stampNs: t.bigint });

/** If you do not have `path`, compare with me. */
export const PUSH_CHECK = defineStruct('tree.push-check', { id: t.int, path: t.str });

/** `problem`: empty = done. */
export const PUSHED = defineStruct('tree.pushed', { id: t.int, problem: t.str });

/** "Something has changed here, come and look": a local round, and a comparison with all peers. */
export const NOTIFY = defineStruct('tree.notify', {});

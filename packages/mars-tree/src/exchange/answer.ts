import { ErrorCode, MarsError } from '@mars/brick-core';
import { joinPath } from '../names.js';
import type { DigestIndex, Item, NodeId } from './digest-index.js';
import type { Sum } from './hash.js';
import { sameSum } from './hash.js';
import {
  LEAF_ITEMS,
  MAX_ASK_NODES,
  MAX_BUCKET_DEPTH,
  MAX_MESSAGE_FACTS,
  MAX_MESSAGE_TEXT,
  MAX_RECEIVED_ITEMS,
} from './limits.js';
import type { AnswerNode, AskNode, FactMessage } from './messages.js';

/** Bytes that a fact takes beside its texts, about. */
const FACT_OVERHEAD = 16;

/**
 * Answers the first nodes of a question, as many as fit into one message, and at least one. Nothing is remembered between two questions.
 * @throws MarsError WIRE_PROTOCOL when the question makes no sense
 */
export function answerNodes(index: DigestIndex, nodes: readonly AskNode[]): AnswerNode[] {
  if (nodes.length > 16 * MAX_ASK_NODES) throw nonsense(`a question about ${nodes.length} parts`);
  const answers: AnswerNode[] = [];
  let facts = 0;
  let text = 0;
  for (const node of nodes) {
    checkNode(node);
    const answer = answerNode(index, node);
    facts += answer.facts.length;
    text += textOf(answer);
    if (answers.length > 0 && (facts > MAX_MESSAGE_FACTS || text > MAX_MESSAGE_TEXT)) break;
    answers.push(answer);
  }
  return answers;
}

function answerNode(index: DigestIndex, node: AskNode): AnswerNode {
  const sum = index.sumOf(node);
  const isKnown = sameSum(sum, { hi: node.knownHi, lo: node.knownLo });
  if (isKnown || sameSum(sum, node)) return { ...NOTHING, ...sum, kind: 'same' };
  const items = index.itemsOf(node);
  if (items.length > LEAF_ITEMS && node.depth < MAX_BUCKET_DEPTH) {
    return { ...NOTHING, ...sum, kind: 'buckets', sums: index.bucketsOf(node).flatMap(({ hi, lo }) => [hi, lo]) };
  }
  return itemsAnswer(node, sum, items);
}

function itemsAnswer({ path }: NodeId, sum: Sum, items: readonly Item[]): AnswerNode {
  const facts: FactMessage[] = [];
  const directories: { name: string; hi: number; lo: number }[] = [];
  for (const { name, entry, sum: own } of items) {
    if (entry === null) directories.push({ name, ...own });
    // What has no readable value counts as empty for us, and a link cannot be empty at another host.
    else if (entry.value !== '') facts.push({ path: joinPath(path, name), value: entry.value, stampNs: entry.stampNs });
  }
  return { ...NOTHING, ...sum, kind: 'items', facts, directories };
}

const NOTHING: AnswerNode = { kind: 'same', hi: 0, lo: 0, sums: [], facts: [], directories: [] };

function textOf({ facts, directories, sums }: AnswerNode): number {
  let bytes = sums.length * 5;
  for (const { path, value } of facts) bytes += path.length + value.length + FACT_OVERHEAD;
  for (const { name } of directories) bytes += name.length + FACT_OVERHEAD;
  return bytes;
}

function checkNode({ depth, bucket }: NodeId): void {
  const isSound = Number.isSafeInteger(depth) && depth >= 0 && depth <= MAX_BUCKET_DEPTH && bucket >= 0;
  if (!isSound) throw nonsense(`a part of the tree at depth ${depth}, bucket ${bucket}`);
}

/** What a peer has sent cannot be meant by any release of this protocol; its channel is closed. */
export function nonsense(what: string): MarsError {
  return new MarsError(ErrorCode.WIRE_PROTOCOL, `a peer has sent ${what}`, {
    hint: 'The daemon of that host is defective, or of a release that does not fit; its log may say more.',
  });
}

/** @throws MarsError WIRE_PROTOCOL: longer than any list that a peer may send */
export function checkLength(list: readonly unknown[], what: string): void {
  if (list.length > MAX_RECEIVED_ITEMS) throw nonsense(`${list.length} ${what} in one message`);
}

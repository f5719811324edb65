import { joinPath, whyNoPath } from '../names.js';
import { nonsense } from './answer.js';
import { ROOT, nodeKey, type DigestIndex, type NodeId } from './digest-index.js';
import { ZERO, sameSum, type Sum } from './hash.js';
import {
  ASK_WINDOW,
  BUCKETS,
  MAX_ASK_NODES,
  MAX_BUCKET_DEPTH,
  MAX_PENDING_NODES,
  MAX_SETTLED_NODES,
} from './limits.js';
import type { AnswerNode, AskNode, FactMessage } from './messages.js';

/** Nodes at which two trees differ for good: our sum and theirs, when everything of theirs had been dealt with. */
export type Settled = ReadonlyMap<string, { mine: Sum; theirs: Sum }>;

export interface RoundOptions {
  index: DigestIndex;
  /** Differences that need no second look. */
  settled: Settled;
  ask(nodes: AskNode[], isFirst: boolean): void;
  merge(facts: readonly FactMessage[]): readonly string[];
}

/**
 * One comparison with one peer: finds what the peer has and we have not, by asking only about parts whose sums differ.
 *
 * ```
 *   root ──differs──> 64 buckets ──3 differ──> lists of names ──> directory ──> 64 buckets ──> links: merged
 *        └─same: the round is over after one question
 * ```
 * It sees only one direction; the peer runs rounds of its own for the other. The answering side remembers nothing.
 *
 * I1: when the round is over and nothing was left out, everything that the peer had when it answered the first question has been merged here:
 * each of its links was in a part whose sum equalled ours, or in a list.
 */
export class Round {
  /** Facts that were new to us. */
  taken = 0;
  /** Parts that were left out, because there were too many: the next round sees to them. */
  skipped = 0;
  /** When the peer answered the first question. */
  readNs = 0n;
  private readonly pending: NodeId[] = [ROOT];
  /** What was asked and not answered, in order. */
  private readonly asked: NodeId[][] = [];
  private readonly seen = new Map<string, { mine: Sum; theirs: Sum }>();
  private readonly startGeneration: number;

  constructor(private readonly options: RoundOptions) {
    this.startGeneration = options.index.generation;
  }

  get isOver(): boolean {
    return this.pending.length === 0 && this.asked.length === 0;
  }

  /** Sends the first question. */
  start(): void {
    this.askMore(true);
  }

  /** @throws MarsError WIRE_PROTOCOL: an answer to nothing, or one that makes no sense */
  answer(nodes: readonly AnswerNode[], stampNs: bigint): void {
    const question = this.asked.shift();
    if (question === undefined || nodes.length === 0 || nodes.length > question.length)
      throw nonsense('an answer to a question that was not asked');
    if (this.readNs === 0n) this.readNs = stampNs;
    // What did not fit into the answer is asked again, next.
    this.pending.push(...question.slice(nodes.length).reverse());
    nodes.forEach((node, i) => this.take(question[i]!, node));
    this.askMore(false);
  }

  /** For the next round: what differs and will go on differing. Known only if nothing moved meanwhile. */
  settled(before: Settled): Settled {
    const isQuiet = this.taken === 0 && this.skipped === 0 && this.options.index.generation === this.startGeneration;
    return isQuiet ? this.seen : before;
  }

  private askMore(isFirst: boolean): void {
    while (this.pending.length > 0 && this.asked.length < ASK_WINDOW) {
      const nodes: NodeId[] = [];
      while (nodes.length < MAX_ASK_NODES && this.pending.length > 0) nodes.push(this.pending.pop()!);
      this.asked.push(nodes);
      this.options.ask(
        nodes.map((node) => this.askNode(node)),
        isFirst,
      );
      isFirst = false;
    }
  }

  private askNode(node: NodeId): AskNode {
    const mine = this.options.index.sumOf(node);
    const settled = this.options.settled.get(nodeKey(node));
    // Zero is "I know nothing", which is also what an empty part of theirs would say: then there is nothing to tell.
    const known = settled !== undefined && sameSum(settled.mine, mine) ? settled.theirs : ZERO;
    return { path: node.path, depth: node.depth, bucket: node.bucket, ...mine, knownHi: known.hi, knownLo: known.lo };
  }

  private take(node: NodeId, answer: AnswerNode): void {
    const theirs: Sum = { hi: answer.hi, lo: answer.lo };
    this.note(node, theirs);
    if (answer.kind === 'same') return;
    if (answer.kind === 'buckets') this.takeBuckets(node, answer.sums);
    else if (answer.kind === 'items') this.takeItems(node, answer);
    else throw nonsense(`an answer of the kind "${answer.kind}"`);
  }

  private takeBuckets(node: NodeId, sums: readonly number[]): void {
    if (node.depth >= MAX_BUCKET_DEPTH) throw nonsense('parts of the smallest part');
    if (sums.length !== 2 * BUCKETS) throw nonsense(`${sums.length} sums where ${2 * BUCKETS} belong`);
    const mine = this.options.index.bucketsOf(node);
    for (let i = 0; i < BUCKETS; i++) {
      const theirs = { hi: sums[2 * i]!, lo: sums[2 * i + 1]! };
      this.compare({ path: node.path, depth: node.depth + 1, bucket: node.bucket * BUCKETS + i }, mine[i]!, theirs);
    }
  }

  private takeItems(node: NodeId, { facts, directories }: AnswerNode): void {
    for (const outcome of this.options.merge(facts)) if (outcome === 'taken') this.taken++;
    for (const { name, hi, lo } of directories) {
      const below = { path: joinPath(node.path, name), depth: 0, bucket: 0 };
      // A name that cannot be one would lead us on for ever.
      if (whyNoPath(below.path) === null) this.compare(below, this.options.index.sumOf(below), { hi, lo });
    }
  }

  /** Asks about a part that differs, unless the peer has nothing there, or the difference is known to be without meaning. */
  private compare(node: NodeId, mine: Sum, theirs: Sum): void {
    if (sameSum(mine, theirs) || sameSum(theirs, ZERO)) return;
    const settled = this.options.settled.get(nodeKey(node));
    if (settled !== undefined && sameSum(settled.mine, mine) && sameSum(settled.theirs, theirs))
      return this.note(node, theirs);
    if (this.pending.length >= MAX_PENDING_NODES) this.skipped++;
    else this.pending.push(node);
  }

  private note(node: NodeId, theirs: Sum): void {
    const mine = this.options.index.sumOf(node);
    if (!sameSum(mine, theirs) && this.seen.size < MAX_SETTLED_NODES) this.seen.set(nodeKey(node), { mine, theirs });
  }
}

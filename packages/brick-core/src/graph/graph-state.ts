import type { BrickBase } from '../brick/brick-base.js';
import type { Led } from '../brick/power.js';
import type { Wire } from '../brick/wire.js';
import type { DependencyContainer } from '../di.js';
import { ErrorCode, MarsError } from '../errors.js';
import type { Loop } from '../loop/loop.js';
import { silentLogger, type Logger } from '../machine/logger.js';
import { didYouMean } from '../params/schema.js';
import type { BrickRegistry } from './registry.js';
import { allWires, rankBricks } from './topology.js';

export interface GraphOptions {
  /** Name of the stack; first part of every brick path. */
  name: string;
  loop: Loop;
  /** Container of the host: bricks resolve their services from a child of it. */
  host: DependencyContainer;
  registry: BrickRegistry;
  log?: Logger;
  /** How long a wire may take to drain before a change is given up, ms; 0 = for ever. */
  drainTimeoutMs?: number;
}

/** One input of one brick, as people write it: `logger.data`, `logger.log[1]`. */
export interface WireName {
  consumer: string;
  input: string;
  nr: number;
}

export type GraphEvent =
  | { kind: 'led'; brick: string; led: Led }
  | { kind: 'fact'; brick: string; name: string; value: string | number | boolean }
  | { kind: 'threw'; brick: string; message: string };

/** What the phases of a graph share: which bricks there are, how they are found, and who hears of changes. */
export class GraphState {
  readonly bricks = new Map<string, BrickBase>();
  /** Bricks that negotiation has put in; they are not part of what the stack file says. */
  readonly adaptors = new Set<BrickBase>();
  readonly listeners: ((event: GraphEvent) => void)[] = [];
  readonly log: Logger;
  readonly loop: Loop;

  constructor(readonly options: GraphOptions) {
    this.loop = options.loop;
    this.log = (options.log ?? silentLogger).child({ stack: options.name });
  }

  /** @throws MarsError NO_SUCH_BRICK */
  get(name: string): BrickBase {
    const brick = this.bricks.get(name);
    if (brick !== undefined) return brick;
    throw new MarsError(ErrorCode.NO_SUCH_BRICK, `there is no brick "${name}" in stack "${this.options.name}"`, {
      hint: didYouMean(name, [...this.bricks.keys()]),
    });
  }

  /** @throws MarsError NO_SUCH_BRICK, BAD_WIRE */
  wire({ consumer, input, nr }: WireName): Wire {
    const brick = this.get(consumer);
    const wire = brick.wires.get(input)?.[nr];
    if (wire !== undefined) return wire;
    throw new MarsError(
      ErrorCode.BAD_WIRE,
      `brick "${consumer}" (${brick.meta.type}) has no input "${input}${nr ? `[${nr}]` : ''}"`,
      {
        hint: didYouMean(input, [...brick.wires.keys()]),
      },
    );
  }

  /** All wires that end at `provider`. A field, because it is handed on as a function. */
  readonly consumersOf = (provider: BrickBase): Wire[] => {
    const found: Wire[] = [];
    for (const brick of this.bricks.values())
      for (const wire of allWires(brick)) if (wire.provider === provider) found.push(wire);
    return found;
  };

  /** Bricks in switching order: providers before consumers. */
  providersFirst(): BrickBase[] {
    return [...this.bricks.values()].sort((a, b) => b.rank - a.rank);
  }

  /** Requests that consumers have under way in this brick. */
  heldOf(brick: BrickBase): number {
    return this.consumersOf(brick).reduce((sum, wire) => sum + wire.held, 0);
  }

  /** Must follow every change of bricks or wires: the loop runs batches in the order of the ranks. */
  rerank(): void {
    rankBricks(this.bricks.values(), this.consumersOf);
  }

  emit(event: GraphEvent): void {
    for (const listener of this.listeners) listener(event);
  }
}

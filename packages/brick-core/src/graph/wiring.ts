import type { BrickBase } from '../brick/brick-base.js';
import type { Wire } from '../brick/wire.js';
import { ErrorCode, MarsError } from '../errors.js';
import { MAX_STACK_DEPTH } from '../limits.js';
import { didYouMean } from '../params/schema.js';
import type { GraphState } from './graph-state.js';
import { checkPermissions } from './permissions.js';
import { depthBelow, pathBetween, wireText } from './topology.js';

/** The rules that a wire must keep: the ones of its shape when it is made, the ones of power when its consumer is on. */

/**
 * Gives a quiet wire its provider.
 * @throws MarsError BAD_WIRE, WIRE_CYCLE
 */
export function attachWire(state: GraphState, wire: Wire, provider: BrickBase, port: string): void {
  checkOutput(provider, port);
  checkNoCycle(wire, provider);
  wire.connect(provider, port, provider.output(port));
  state.rerank();
}

/**
 * A wire of a brick that is on: what would have been refused when it was pressed is refused now.
 * @throws MarsError MISSING_WIRE, POWER_PROVIDER_OFF, PERMISSION_CONFLICT, STACK_TOO_DEEP
 */
export function checkLive(state: GraphState, wire: Wire): void {
  checkProvider(wire);
  checkPermissions(wire.consumer, [wire], state.consumersOf);
  checkDepth(wire.consumer);
}

/** @throws MarsError MISSING_WIRE, POWER_PROVIDER_OFF */
export function checkProvider(wire: Wire): void {
  const { provider } = wire;
  if (provider === null) return checkMayBeLoose(wire);
  if (provider.power.button && provider.power.ledOn) return;
  throw new MarsError(
    ErrorCode.POWER_PROVIDER_OFF,
    `"${wire.consumer.name}" cannot be switched on: its provider "${provider.name}" is off`,
    {
      hint: `Switch "${provider.name}" on first.`,
    },
  );
}

/** @throws MarsError STACK_TOO_DEEP */
export function checkDepth(brick: BrickBase): void {
  // Each wire on the way down adds one step to the way back.
  const steps = brick.rank + depthBelow(brick);
  if (steps <= MAX_STACK_DEPTH) return;
  throw new MarsError(
    ErrorCode.STACK_TOO_DEEP,
    `requests through "${brick.name}" pass ${steps} wires, ${MAX_STACK_DEPTH} are possible`,
    { hint: 'Use fewer filters above each other.' },
  );
}

function checkMayBeLoose(wire: Wire): void {
  // Of a group only the first slot must be wired; the others are filled as its family grows.
  if (wire.consumer.meta.inputs[wire.name]!.optional || wire.nr > 0) return;
  throw new MarsError(ErrorCode.MISSING_WIRE, `${wireText(wire)} has no provider`, {
    hint: 'Name one under "in:".',
  });
}

function checkOutput(provider: BrickBase, port: string): void {
  const { type, outputs } = provider.meta;
  if (outputs.includes(port)) return;
  throw new MarsError(ErrorCode.BAD_WIRE, `brick "${provider.name}" (${type}) has no output "${port}"`, {
    hint: outputs.length === 0 ? 'It is the top of a stack and serves nobody.' : didYouMean(port, outputs),
  });
}

function checkNoCycle(wire: Wire, provider: BrickBase): void {
  const loop = pathBetween(provider, wire.consumer);
  if (loop === undefined) return;
  const names = [wire.consumer.name, ...loop.map((brick) => brick.name)];
  throw new MarsError(ErrorCode.WIRE_CYCLE, `the wires form a cycle: ${names.join(' → ')}`, {
    hint: 'Requests must come to an end: take one of these wires away.',
  });
}

import { hooksOf, inTurn, pressBrick, releaseBrick, type BrickBase } from '../brick/brick-base.js';
import type { FaultSink } from '../brick/fault.js';
import type { Wire } from '../brick/wire.js';
import { ErrorCode, MarsError, causeText } from '../errors.js';
import { reportFault } from '../loop/fault.js';
import type { Adaptors } from './adapt.js';
import type { GraphState } from './graph-state.js';
import { spreadInfo, type AdaptMode } from './offers.js';
import { checkPermissions } from './permissions.js';
import { allWires } from './topology.js';
import { checkDepth, checkProvider } from './wiring.js';

/**
 * Power: providers on before consumers and off after them, and what must hold when a brick goes on. Jobs for one brick run
 * in turn, those for different bricks side by side. Source: bricks.md 1.6, 5.8.
 */
export class Switching implements FaultSink {
  /** Whether a pressed brick may have adaptors. */
  private readonly modes = new WeakMap<BrickBase, AdaptMode>();

  /** Of the last press of a brick that may still be waiting for its turn, or starting. */
  private readonly starts = new WeakMap<BrickBase, AbortController>();

  constructor(
    private readonly state: GraphState,
    private readonly adaptors: Adaptors,
  ) {}

  press(brick: BrickBase, adapt: AdaptMode): Promise<void> {
    const before = this.starts.get(brick);
    const start = before === undefined || before.signal.aborted ? new AbortController() : before;
    this.starts.set(brick, start);
    return inTurn(brick, () => this.pressNow(brick, adapt, start.signal));
  }

  release(brick: BrickBase): Promise<void> {
    // A start that waits for something that never comes must not make its own release wait.
    this.starts
      .get(brick)
      ?.abort(new MarsError(ErrorCode.START_FAILED, `brick "${brick.name}" was switched off while it was starting`));
    return inTurn(brick, () => this.releaseNow(brick));
  }

  /** A brick that throws here is switched off like one that throws on the data path; the others have their turn. */
  round(): void {
    for (const brick of this.state.providersFirst()) {
      // Asked one by one: the round of one brick may have ended another.
      if (!brick.power.button || !brick.power.ledOn) continue;
      try {
        hooksOf(brick).round();
      } catch (error) {
        reportFault(brick, error, null);
      }
    }
  }

  adaptModeOf(brick: BrickBase): AdaptMode {
    return this.modes.get(brick) ?? 'auto';
  }

  brickThrew(brick: BrickBase, error: unknown): void {
    // Requests that are still under way in it may make it throw again; once is enough to say it.
    if (brick.power.forceOff) return;
    const { log } = this.state;
    log.error({ brick: brick.name, type: brick.meta.type, err: error }, 'a brick threw; it is switched off for good');
    this.state.emit({ kind: 'threw', brick: brick.name, message: causeText(error) });
    brick.power.forceOff = true;
    // A timer may outlive the brick's time on; then there is nothing to stop.
    if (brick.power.ledOff) return;
    brick.power.set('switching');
    // The led falls at once, so every further request is answered ESHUTDOWN; what is under way may still come back.
    void inTurn(brick, () => this.switchOff(brick)).catch((cause: unknown) =>
      log.error({ brick: brick.name, err: cause }, 'switching off a faulty brick failed'),
    );
  }

  private async pressNow(brick: BrickBase, adapt: AdaptMode, signal: AbortSignal): Promise<void> {
    if (brick.power.led === 'on') return;
    const wires = allWires(brick);
    for (const wire of wires) checkProvider(wire);
    const connected = wires.filter((wire) => wire.connected);
    checkPermissions(brick, connected, this.state.consumersOf);
    checkDepth(brick);
    // From here on the others see that this brick claims its permissions, and its providers stay on.
    brick.power.button = true;
    this.modes.set(brick, adapt);
    try {
      for (const wire of connected) await this.adaptors.negotiate(wire, adapt);
      await this.announced(brick, () => pressBrick(brick, signal));
    } catch (error) {
      brick.power.button = false;
      await this.adaptors.dropFor(brick);
      throw error;
    }
    spreadInfo(this.state, brick);
  }

  private async releaseNow(brick: BrickBase): Promise<void> {
    const isInUse = ({ consumer: { power } }: Wire): boolean => power.button || !power.ledOff;
    const wire = this.state.consumersOf(brick).find(isInUse);
    if (wire !== undefined) {
      throw new MarsError(ErrorCode.POWER_CONSUMER_ON, `"${brick.name}" serves "${wire.consumer.name}", which is on`, {
        hint: `Switch "${wire.consumer.name}" off first.`,
      });
    }
    await this.switchOff(brick);
  }

  private async switchOff(brick: BrickBase): Promise<void> {
    const { loop } = this.state;
    try {
      await this.announced(brick, () => releaseBrick(brick, loop, () => this.state.heldOf(brick)));
    } finally {
      await this.adaptors.dropFor(brick);
    }
  }

  /** Whatever comes of it, listeners hear how the led stands now. */
  private async announced(brick: BrickBase, job: () => Promise<void>): Promise<void> {
    try {
      await job();
    } finally {
      this.state.emit({ kind: 'led', brick: brick.name, led: brick.power.led });
    }
  }
}

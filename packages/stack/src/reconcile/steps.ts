import { isDeepStrictEqual } from 'node:util';
import type { PlannedWire } from '../plan/types.js';
import type { Target, TargetBrick } from './target.js';
import { consumersOf, type BrickView, type GraphView, type WireView } from './view.js';

/** One change of the running stack. `brick` is the one that changes; plain data. */
export type Step =
  | { do: 'release'; brick: string }
  | { do: 'destroy'; brick: string }
  | { do: 'build'; brick: string }
  | { do: 'unwire'; brick: string; input: string; nr: number }
  | { do: 'wire'; brick: string; input: string; nr: number; provider: string; port: string }
  /** `undefined` = back to its default. */
  | { do: 'param'; brick: string; param: string; value: unknown }
  | { do: 'press'; brick: string };

export interface NextSteps {
  /** May run at the same time: no brick appears twice. */
  steps: Step[];
  /** Why a brick is not (yet) what it should be. */
  notes: Map<string, string>;
  /** A slot of a group is still needed; nobody tells when that ends, so look again after a while. */
  waitsForSlot: boolean;
}

/** Names a step, so that a failed one can be left out until it is tried again. */
export function stepKey(step: Step): string {
  return [step.do, step.brick, 'input' in step ? `${step.input}[${step.nr}]` : 'param' in step ? step.param : ''].join(
    ' ',
  );
}

/** A step for people; values of parameters are left out because they may be secret. */
export function stepText(step: Step): string {
  switch (step.do) {
    case 'wire':
      return `wire ${step.brick}.${step.input}${step.nr > 0 ? `[${step.nr}]` : ''} to ${step.provider}`;
    case 'unwire':
      return `unwire ${step.brick}.${step.input}${step.nr > 0 ? `[${step.nr}]` : ''}`;
    case 'param':
      return `set ${step.brick}.${step.param}`;
    default:
      return `${step.do} ${step.brick}`;
  }
}

/**
 * What can be done now to come from what is to what should be. Pure and level-triggered: it looks only at the two, so
 * after every step it is simply asked again, and whatever failed or was interrupted is found again.
 *
 * Rules (docs/stacks.md, *Reconcile*): equal name, type and non-live parameters stay; off goes consumers first, on goes
 * providers first; a wire of a brick that is on changes only to a provider that is on; the slot of a group is emptied
 * only when its consumer says it is idle.
 *
 * @param busy     bricks with a step under way; they are left alone
 * @param blocked  keys of steps that failed and are not to be tried now
 */
export function nextSteps(
  view: GraphView,
  target: Target,
  busy: ReadonlySet<string>,
  blocked: ReadonlySet<string>,
): NextSteps {
  return new Planner(view, target, busy, blocked).plan();
}

class Planner {
  private readonly steps: Step[] = [];
  private readonly notes = new Map<string, string>();
  private waitsForSlot = false;
  private readonly touched: Set<string>;
  /** Present bricks that must go: not in the plan any more, or to be built anew. */
  private readonly gone = new Set<string>();
  /** Bricks that must be off for a while, because something below them is built anew. */
  private readonly resting = new Set<string>();

  constructor(
    private readonly view: GraphView,
    private readonly target: Target,
    busy: ReadonlySet<string>,
    private readonly blocked: ReadonlySet<string>,
  ) {
    this.touched = new Set(busy);
    this.findGone();
    this.findResting();
  }

  plan(): NextSteps {
    const present = [...this.view.bricks.values()];
    const wanted = [...this.target.bricks.values()];
    for (const brick of present) this.switchOff(brick);
    for (const brick of wanted) this.build(brick);
    for (const brick of wanted) this.changeWires(brick);
    for (const brick of present) this.unwireGone(brick);
    for (const brick of present) this.destroy(brick);
    for (const brick of wanted) this.changeParams(brick);
    for (const brick of wanted) this.switchOn(brick);
    return { steps: this.steps, notes: this.notes, waitsForSlot: this.waitsForSlot };
  }

  private findGone(): void {
    const kept = this.keptBricks();
    for (const brick of this.view.bricks.values()) {
      const target = this.target.bricks.get(brick.name);
      if (target === undefined ? !kept.has(brick.name) : mustBeBuiltAnew(brick, target)) this.gone.add(brick.name);
    }
  }

  /** Bricks with `keep` that no plan names, and what they stand on. */
  private keptBricks(): Set<string> {
    const kept = new Set<string>();
    const keep = (name: string | null): void => {
      const brick = name === null ? undefined : this.view.bricks.get(name);
      if (brick === undefined || kept.has(brick.name) || this.target.bricks.has(brick.name)) return;
      kept.add(brick.name);
      for (const wire of brick.wires) keep(wire.provider);
    };
    for (const brick of this.view.bricks.values()) if (brick.keep) keep(brick.name);
    return kept;
  }

  /** Whoever stays on a brick that is built anew, or loses an input, rests meanwhile; so does everybody above. */
  private findResting(): void {
    const rest = (name: string): void => {
      if (this.resting.has(name)) return;
      this.resting.add(name);
      for (const { consumer } of consumersOf(this.view, name)) rest(consumer.name);
    };
    for (const brick of this.view.bricks.values()) {
      const target = this.target.bricks.get(brick.name);
      if (target === undefined || this.gone.has(brick.name)) continue;
      for (const wire of brick.wires) {
        if (wire.isGroup || wire.provider === null) continue;
        const planned = target.wires.find((w) => w.input === wire.input);
        const isBuiltAnew = planned?.provider === wire.provider && this.gone.has(wire.provider);
        if (planned === undefined || isBuiltAnew) rest(brick.name);
      }
    }
  }

  private switchOff(brick: BrickView): void {
    const target = this.target.bricks.get(brick.name);
    const isKept = target === undefined && !this.gone.has(brick.name);
    const isWanted = isKept || (target?.wanted === true && !this.gone.has(brick.name) && !this.resting.has(brick.name));
    if (brick.led !== 'on' || isWanted) return;
    const user = consumersOf(this.view, brick.name).find(
      ({ consumer }) => consumer.led !== 'off' || this.touched.has(consumer.name),
    );
    if (user === undefined) this.emit({ do: 'release', brick: brick.name });
    else this.note(brick.name, `stays on while "${user.consumer.name}" uses it`);
  }

  private build(target: TargetBrick): void {
    if (this.view.bricks.has(target.name)) return;
    if (target.params !== null) this.emit({ do: 'build', brick: target.name });
  }

  private changeWires(target: TargetBrick): void {
    const brick = this.view.bricks.get(target.name);
    if (brick === undefined || this.gone.has(brick.name)) return;
    for (const wire of brick.wires) {
      if (wire.isGroup) continue;
      const planned = target.wires.find((w) => w.input === wire.input);
      if (planned !== undefined) this.changeWire(brick, wire, planned);
      else if (wire.provider !== null && brick.led === 'off')
        this.emit({ do: 'unwire', brick: brick.name, input: wire.input, nr: wire.nr });
    }
    for (const input of new Set(brick.wires.filter((wire) => wire.isGroup).map((wire) => wire.input)))
      this.changeGroup(brick, target, input);
  }

  private changeWire(brick: BrickView, wire: WireView, planned: PlannedWire): void {
    if (wire.provider === planned.provider && wire.port === planned.port) return;
    const provider = this.view.bricks.get(planned.provider);
    if (provider === undefined || this.gone.has(planned.provider) || this.touched.has(planned.provider)) return;
    if (brick.led === 'switching') return;
    if (brick.led === 'on' && provider.led !== 'on')
      return this.note(brick.name, `waits for "${planned.provider}" to be on`);
    this.emit({
      do: 'wire',
      brick: brick.name,
      input: wire.input,
      nr: wire.nr,
      provider: planned.provider,
      port: planned.port,
    });
  }

  /** Slots keep their member for as long as both are there; new members take the lowest free slots, in order. */
  private changeGroup(brick: BrickView, target: TargetBrick, input: string): void {
    const slots = brick.wires.filter((wire) => wire.input === input);
    const members = target.wires.filter((wire) => wire.input === input).sort((a, b) => a.nr - b.nr);
    if (brick.led === 'off') return this.fillInOrder(brick, slots, members);
    const stays = (slot: WireView): boolean =>
      members.some((m) => m.provider === slot.provider && !this.gone.has(m.provider));
    for (const slot of slots) if (slot.provider !== null && !stays(slot)) this.emptySlot(brick, slot);
    for (const member of members) {
      if (slots.some((slot) => slot.provider === member.provider)) continue;
      const free = slots.find((slot) => slot.provider === null);
      if (free === undefined) this.note(member.provider, `waits for a free slot of ${brick.name}.${input}`);
      else this.changeWire(brick, free, { ...member, nr: free.nr });
    }
  }

  /** While the brick is off nobody holds a slot, so the members take them in order, from the first one on. */
  private fillInOrder(brick: BrickView, slots: readonly WireView[], members: readonly PlannedWire[]): void {
    for (const slot of slots) {
      const member = members[slot.nr];
      if (member !== undefined) this.changeWire(brick, slot, { ...member, nr: slot.nr });
      else if (slot.provider !== null) this.emit({ do: 'unwire', brick: brick.name, input: slot.input, nr: slot.nr });
    }
    for (const member of members.slice(slots.length))
      this.note(member.provider, `waits for a free slot of ${brick.name}.${slots[0]!.input}`);
  }

  private emptySlot(brick: BrickView, slot: WireView): void {
    if (brick.led === 'on' && slot.isIdle)
      return this.emit({ do: 'unwire', brick: brick.name, input: slot.input, nr: slot.nr });
    this.waitsForSlot = true;
    this.notes.set(slot.provider!, `${brick.name}.${slot.input}[${slot.nr}] still needs it`);
  }

  /** A brick that goes lets go of the others by being destroyed; those that rest on it let go of it here. */
  private unwireGone(gone: BrickView): void {
    if (!this.gone.has(gone.name)) return;
    for (const { consumer, wire } of consumersOf(this.view, gone.name)) {
      if (this.gone.has(consumer.name) || wire.isGroup || consumer.led !== 'off') continue;
      this.emit({ do: 'unwire', brick: consumer.name, input: wire.input, nr: wire.nr });
    }
  }

  private destroy(brick: BrickView): void {
    if (!this.gone.has(brick.name) || brick.led !== 'off') return;
    const user = consumersOf(this.view, brick.name)[0];
    if (user === undefined) this.emit({ do: 'destroy', brick: brick.name });
    else this.note(brick.name, `goes when "${user.consumer.name}" is unwired from it`);
  }

  private changeParams(target: TargetBrick): void {
    const brick = this.view.bricks.get(target.name);
    if (brick === undefined || target.values === null || this.gone.has(brick.name)) return;
    const param = target.live.find((name) => !isDeepStrictEqual(brick.values[name], target.values![name]));
    if (param !== undefined) this.emit({ do: 'param', brick: brick.name, param, value: target.params![param] });
  }

  private switchOn(target: TargetBrick): void {
    const brick = this.view.bricks.get(target.name);
    if (!target.wanted || brick === undefined || brick.led !== 'off' || this.gone.has(brick.name)) {
      if (target.why !== null) this.note(target.name, target.why);
      return;
    }
    const why = brick.forceOff ? 'it threw an error and is off for good' : (target.why ?? this.notReady(brick, target));
    if (why !== null) this.note(brick.name, why);
    else this.emit({ do: 'press', brick: brick.name });
  }

  private notReady(brick: BrickView, target: TargetBrick): string | null {
    for (const planned of target.wires) {
      const isGroup = brick.wires.some((wire) => wire.isGroup && wire.input === planned.input);
      const wire = brick.wires.find((w) => w.input === planned.input && w.provider === planned.provider);
      // A group runs with the members that have a slot.
      if (isGroup && wire === undefined) continue;
      const why = this.providerNotReady(planned.provider, wire !== undefined);
      if (why !== null) return why;
    }
    const groups = new Set(brick.wires.filter((wire) => wire.isGroup && !wire.isOptional).map((wire) => wire.input));
    for (const input of groups) {
      if (brick.wires.every((wire) => wire.input !== input || wire.provider === null))
        return `${brick.name}.${input} has no member yet`;
    }
    const isAwaited = (name: string): boolean =>
      this.target.bricks.get(name)?.wanted === true && this.view.bricks.get(name)?.led !== 'on';
    const first = target.after.find(isAwaited);
    return first === undefined ? null : `comes after "${first}"`;
  }

  private providerNotReady(name: string, isWired: boolean): string | null {
    const provider = this.view.bricks.get(name);
    const target = this.target.bricks.get(name);
    if (provider?.led === 'on' && isWired && target?.wanted === true && !this.gone.has(name) && !this.resting.has(name))
      return null;
    if (target?.why != null) return `needs "${name}": ${target.why}`;
    return `waits for "${name}"`;
  }

  private emit(step: Step): void {
    if (this.touched.has(step.brick) || this.blocked.has(stepKey(step))) return;
    this.touched.add(step.brick);
    this.steps.push(step);
  }

  private note(brick: string, why: string): void {
    if (!this.notes.has(brick)) this.notes.set(brick, why);
  }
}

function mustBeBuiltAnew(brick: BrickView, target: TargetBrick): boolean {
  if (brick.type !== target.type) return true;
  // Parameters that are not known at the moment are no reason to tear anything down.
  if (target.values === null) return false;
  const fixed = new Set(
    [...Object.keys(brick.values), ...Object.keys(target.values)].filter((name) => !target.live.includes(name)),
  );
  return [...fixed].some((name) => !isDeepStrictEqual(brick.values[name], target.values![name]));
}

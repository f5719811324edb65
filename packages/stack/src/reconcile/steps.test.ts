import type { BrickRegistry } from '@mars/brick-core';
import type { FactValue } from '../expression/types.js';
import { loadStack } from '../plan/load.js';
import type { StackPlan } from '../plan/types.js';
import { testRegistry, transcript } from '../kit.test.js';
import { nextSteps, stepKey, stepText, type Step } from './steps.js';
import { computeTarget, type Target } from './target.js';
import type { BrickView, WireView } from './view.js';

/** More rounds than any transcript needs. */
const MAX_ROUNDS = 50;

/** A stack that exists only as a view: every step succeeds at once, unless the transcript says otherwise. */
class PaperStack {
  readonly bricks = new Map<string, BrickView>();
  readonly neededSlots = new Set<string>();
  readonly failing = new Set<string>();
  facts: Record<string, FactValue> = {};
  vars: Record<string, string> = {};
  text = '';

  constructor(private readonly registry: BrickRegistry) {}

  /** Steps per round until nothing is left to do, then what is not as it should be. */
  settle(): string {
    const { plan } = loadStack(this.text, { registry: this.registry, vars: this.vars });
    const lines: string[] = [];
    const blocked = new Set<string>();
    for (let round = 1; round <= MAX_ROUNDS; round++) {
      const target = this.target(plan);
      const { steps, notes } = nextSteps({ bricks: this.view() }, target, new Set(), blocked);
      if (steps.length === 0)
        return [...lines, ...[...notes].map(([brick, why]) => `  ${brick}: ${why}`), this.leds()].join('\n');
      lines.push(`${round}: ${steps.map((step) => this.attempt(step, target, blocked)).join(', ')}`);
    }
    throw new Error(`no rest after ${MAX_ROUNDS} rounds:\n${lines.join('\n')}`);
  }

  private attempt(step: Step, target: Target, blocked: Set<string>): string {
    if (!this.failing.has(stepText(step))) return this.perform(step, target) ?? stepText(step);
    blocked.add(stepKey(step));
    return `${stepText(step)} FAILS`;
  }

  private view(): Map<string, BrickView> {
    const isIdle = (brick: string, wire: WireView): boolean =>
      !this.neededSlots.has(`${brick}.${wire.input}[${wire.nr}]`);
    return new Map(
      [...this.bricks].map(([name, brick]) => [
        name,
        { ...brick, wires: brick.wires.map((wire) => ({ ...wire, isIdle: isIdle(name, wire) })) },
      ]),
    );
  }

  private target(plan: StackPlan): Target {
    const view = { bricks: this.view() };
    const byHand = { power: new Map(), params: new Map() };
    return computeTarget({
      plan,
      view,
      facts: this.facts,
      published: () => undefined,
      secrets: {},
      byHand,
      registry: this.registry,
    });
  }

  private perform(step: Step, target: Target): string | undefined {
    const brick = this.bricks.get(step.brick);
    const change = (part: Partial<BrickView>): void => void this.bricks.set(step.brick, { ...brick!, ...part });
    const rewire = (provider: string | null, port: string): void =>
      change({
        wires: brick!.wires.map((wire) =>
          'input' in step && wire.input === step.input && wire.nr === step.nr ? { ...wire, provider, port } : wire,
        ),
      });
    switch (step.do) {
      case 'build':
        this.bricks.set(step.brick, this.fresh(step.brick, target));
        return undefined;
      case 'destroy':
        this.bricks.delete(step.brick);
        return undefined;
      case 'wire':
        return (rewire(step.provider, step.port), undefined);
      case 'unwire':
        return (rewire(null, ''), undefined);
      case 'param':
        change({ values: { ...brick!.values, [step.param]: target.bricks.get(step.brick)!.values![step.param] } });
        return `${stepText(step)} to ${step.value === undefined ? 'its default' : (step.value as string)}`;
      case 'press':
        return (change({ led: 'on', button: true }), undefined);
      case 'release':
        return (change({ led: 'off', button: false }), undefined);
    }
  }

  private fresh(name: string, target: Target): BrickView {
    const { type, values, keep } = target.bricks.get(name)!;
    const wires = Object.entries(this.registry.get(type).meta.inputs).flatMap(([input, port]) =>
      Array.from({ length: port.group ?? 1 }, (_, nr): WireView => ({
        input,
        nr,
        isGroup: port.group !== undefined,
        isOptional: port.optional ?? false,
        provider: null,
        port: '',
        isIdle: true,
      })),
    );
    return { name, type, values: values!, led: 'off', button: false, forceOff: false, keep, wires };
  }

  private leds(): string {
    const on = [...this.bricks.values()].filter((brick) => brick.led === 'on').map((brick) => brick.name);
    const off = [...this.bricks.values()].filter((brick) => brick.led !== 'on').map((brick) => brick.name);
    return `on: ${on.join(' ') || '-'}${off.length === 0 ? '' : `; off: ${off.join(' ')}`}`;
  }
}

describe('Reconcile, on paper', () => {
  const { cases, check } = transcript('reconcile.txt');

  for (const one of cases) {
    it(one.title, () => {
      check(one, play(one.input));
    });
  }

  /**
   * YAML text, then commands: `> vars a=b`, `> facts a=b`, `> needed logger.log[0]`, `> idle logger.log[0]`,
   * `> fails press disk`, `> works press disk`, `> settle`.
   */
  function play(input: string): string {
    const stack = new PaperStack(testRegistry());
    const out: string[] = [];
    let yaml: string[] = [];
    for (const line of input.split('\n')) {
      if (!line.startsWith('> ')) {
        yaml.push(line);
        continue;
      }
      if (yaml.some((text) => text.trim() !== '')) stack.text = yaml.join('\n');
      yaml = [];
      out.push(...command(stack, line.slice(2)));
    }
    return out.join('\n');
  }

  function command(stack: PaperStack, line: string): string[] {
    const [verb, ...words] = line.split(' ');
    const rest = words.join(' ');
    if (verb === 'settle') return [`> ${line}`, stack.settle()];
    if (verb === 'vars') for (const word of words) stack.vars[word.split('=')[0]!] = word.split('=')[1]!;
    else if (verb === 'facts') for (const word of words) stack.facts[word.split('=')[0]!] = factOf(word.split('=')[1]!);
    else if (verb === 'forget') delete stack.facts[rest];
    else if (verb === 'needed') stack.neededSlots.add(rest);
    else if (verb === 'idle') stack.neededSlots.delete(rest);
    else if (verb === 'fails') stack.failing.add(rest);
    else if (verb === 'works') stack.failing.delete(rest);
    else throw new Error(`the transcript says "${line}"`);
    return [`> ${line}`];
  }

  function factOf(text: string): FactValue {
    return text === 'true' || text === 'false' ? text === 'true' : Number.isNaN(Number(text)) ? text : Number(text);
  }
});

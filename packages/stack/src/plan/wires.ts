import { ErrorCode, didYouMean, type SourcePlace } from '@mars/brick-core';
import type { Problems } from '../problems.js';
import type { Places, Path } from '../source/places.js';
import type { Declared } from './members.js';
import type { PlannedWire } from './types.js';

/** Wires all members; ports, providers and families are checked once per line of the file. */
export function planWires(all: readonly Declared[], places: Places, problems: Problems): PlannedWire[] {
  const byName = new Map(all.map((declared) => [declared.base, declared]));
  const wirer = new Wirer(byName, places, problems);
  return all.flatMap((declared) => wirer.wiresOf(declared));
}

/** Finds brick and output behind `disk` or `disk.out`. */
export function resolveProvider(
  text: string,
  byName: ReadonlyMap<string, Declared>,
  place: SourcePlace,
  problems: Problems,
): { provider: Declared; port: string } | null {
  const [base, port] = text.split('.') as [string, string | undefined];
  const provider = byName.get(base);
  if (provider === undefined) {
    problems.add(ErrorCode.BAD_WIRE, `there is no brick "${base}"`, {
      hint: didYouMean(base, [...byName.keys()]),
      place,
    });
    return null;
  }
  if (provider.type === undefined) return null;
  const { outputs, type } = provider.type.meta;
  const chosen = port ?? outputs[0];
  if (chosen !== undefined && outputs.includes(chosen)) return { provider, port: chosen };
  problems.add(ErrorCode.BAD_WIRE, `"${base}" (${type}) has no output${port === undefined ? '' : ` "${port}"`}`, {
    hint: outputs.length === 0 ? 'It is the top of a stack and serves nobody.' : didYouMean(port ?? '', outputs),
    place,
  });
  return null;
}

class Wirer {
  constructor(
    private readonly byName: ReadonlyMap<string, Declared>,
    private readonly places: Places,
    private readonly problems: Problems,
  ) {}

  wiresOf(consumer: Declared): PlannedWire[] {
    if (consumer.type === undefined) return [];
    const path = [...consumer.path, 'in'];
    const named = this.inputsOf(consumer, path);
    if (named === null) return [];
    this.checkComplete(consumer, new Set(named.map(([input]) => input)));
    return named.flatMap(([input, provider, at]) => this.wiresTo(consumer, input, provider, at));
  }

  /** Input name, provider text and place of every entry under `in`. `null` = reported as a whole. */
  private inputsOf(consumer: Declared, path: Path): [string, string, Path][] | null {
    const { in: given } = consumer.declaration;
    if (given === undefined) return [];
    const { inputs, type } = consumer.type!.meta;
    const known = Object.keys(inputs);
    if (known.length === 0) {
      this.problems.add(ErrorCode.BAD_WIRE, `"${consumer.base}" (${type}) has no input`, {
        hint: 'It is an end of a stack; take "in:" away.',
        place: this.places.key(path),
      });
      return null;
    }
    if (typeof given === 'string') {
      if (known.length === 1) return [[known[0]!, given, path]];
      const example = known.map((input) => `${input}: …`).join(', ');
      this.problems.add(ErrorCode.BAD_WIRE, `"${consumer.base}" (${type}) has several inputs`, {
        hint: `Say which: in: { ${example} }.`,
        place: this.places.value(path),
      });
      return null;
    }
    return Object.entries(given).flatMap(([input, provider]): [string, string, Path][] => {
      if (known.includes(input)) return [[input, provider, [...path, input]]];
      this.problems.add(ErrorCode.BAD_WIRE, `"${consumer.base}" (${type}) has no input "${input}"`, {
        hint: didYouMean(input, known),
        place: this.places.key([...path, input]),
      });
      return [];
    });
  }

  private checkComplete(consumer: Declared, wired: ReadonlySet<string>): void {
    const { inputs, type } = consumer.type!.meta;
    for (const [input, port] of Object.entries(inputs)) {
      if (port.optional === true || wired.has(input)) continue;
      const how = Object.keys(inputs).length === 1 ? 'in: BRICK' : `in: { ${input}: BRICK }`;
      this.problems.add(ErrorCode.MISSING_WIRE, `input "${input}" of "${consumer.base}" (${type}) has no provider`, {
        hint: `Add "${how}".${port.about === undefined ? '' : ` ${input}: ${port.about}`}`,
        place: this.places.key(consumer.path),
      });
    }
  }

  private wiresTo(consumer: Declared, input: string, text: string, path: Path): PlannedWire[] {
    const place = this.places.value(path);
    const found = resolveProvider(text, this.byName, place, this.problems);
    if (found === null) return [];
    const { provider, port } = found;
    const wire = (from: string, to: string, nr = 0): PlannedWire => ({ consumer: from, input, nr, provider: to, port });
    if (provider.list === null) return consumer.members.map((member) => wire(member.name, provider.base));
    if (provider.list === consumer.list) {
      return consumer.members.map((member) => wire(member.name, `${provider.base}:${member.item!.key}`));
    }
    if (consumer.type!.meta.inputs[input]!.group === undefined) {
      this.problems.add(
        ErrorCode.BAD_WIRE,
        `input "${input}" of "${consumer.base}" takes one provider, but "${provider.base}" is a family`,
        {
          hint: `Add "each: \${${provider.list}}" to "${consumer.base}", too, or wire the family to a port group.`,
          place,
        },
      );
      return [];
    }
    return consumer.members.flatMap((member) => provider.members.map((to, nr) => wire(member.name, to.name, nr)));
  }
}

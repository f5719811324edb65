import type { StackBrickStatus, StackStatus } from '@mars/stack';

export const LEDS = { on: '●', switching: '◐', off: '○' } as const;
const LED_COLOURS = { on: '32', switching: '33', off: '90' } as const;

/** A running stack for a terminal: one line per brick, consumers first. */
export function statusText({ stack, isSettled, bricks }: StackStatus, colour: boolean): string {
  const width = Math.max(...bricks.map((brick) => brick.name.length));
  const lines = bricks.map(
    (brick) => `${led(brick, colour)} ${brick.name.padEnd(width)}  ${brick.type}${notes(brick)}`,
  );
  return [`${stack}${isSettled ? '' : ' (changing)'}`, ...lines].join('\n');
}

function led({ led: lamp, failure }: StackBrickStatus, isColoured: boolean): string {
  const [sign, colour] = failure === null ? [LEDS[lamp], LED_COLOURS[lamp]] : ['✖', '31'];
  return isColoured ? `\u001b[${colour}m${sign}\u001b[0m` : sign;
}

function notes({ origin, byHand, held, inputs, why, failure }: StackBrickStatus): string {
  const below = Object.entries(inputs).flatMap(([input, provider]) =>
    provider === null ? [] : [`${input} → ${provider}`],
  );
  const all = [
    below.join(', '),
    origin.kind === 'stack' ? '' : `[${origin.kind === 'overlay' ? origin.name : origin.kind}]`,
    byHand === null ? '' : `${byHand} by hand`,
    held === 0 ? '' : `${held} under way`,
    failure?.message ?? why ?? '',
  ].filter((note) => note !== '');
  return all.map((note) => `  ${note}`).join('');
}

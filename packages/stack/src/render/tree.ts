import type { StackStatus } from '../handle.js';
import type { PlannedWire, StackPlan } from '../plan/types.js';
import { byName, inputLabel, lampOf, paramText, type Lamp } from './live.js';

export interface TreeOptions {
  /** Leds and reasons of a running stack. */
  status?: StackStatus;
  /** Colours for a terminal. */
  colour?: boolean;
  /** Longest list of parameters, characters. */
  paramLength?: number;
}

const SIGNS: Readonly<Record<Lamp, string>> = { on: '●', switching: '◐', off: '○', failed: '✖', unknown: '' };
const COLOURS: Readonly<Record<Lamp, string>> = { on: '32', switching: '33', off: '90', failed: '31', unknown: '0' };

/**
 * The stack as text, consumers on top:
 * ```
 * ● load  load  depth: 64
 * └─ ● slow  delay  write: 5ms
 *    └─ ● disk  ram  size: 256M
 * ```
 * A brick with several consumers is shown under the first; later it is only named.
 */
export function renderTree(plan: StackPlan, options: TreeOptions = {}): string {
  const status = byName(options.status);
  const shown = new Set<string>();
  const lines: string[] = [];
  const paint = (lamp: Lamp, text: string): string =>
    options.colour ? `\u001b[${COLOURS[lamp]}m${text}\u001b[0m` : text;
  const text = (name: string, label: string): string => {
    const brick = plan.bricks.find((one) => one.name === name)!;
    const live = status.get(name);
    const lamp = lampOf(live);
    const sign = SIGNS[lamp] === '' ? '' : `${paint(lamp, SIGNS[lamp])} `;
    if (shown.has(name)) return `${sign}${label}${name} (see above)`;
    const why = live?.failure?.message ?? live?.why ?? null;
    const marks = [brick.overlay === null ? '' : `[${brick.overlay}]`, why === null ? '' : `— ${why}`];
    return [`${sign}${label}${name}`, brick.type, paramText(brick, options.paramLength ?? 70), ...marks]
      .filter((part) => part !== '')
      .join('  ');
  };
  const visit = (name: string, label: string, indent: string, branch: string, below: string): void => {
    lines.push(indent + branch + text(name, label));
    if (shown.has(name)) return;
    shown.add(name);
    const wires = plan.wires.filter((wire) => wire.consumer === name);
    for (const [nr, wire] of wires.entries()) {
      const isLast = nr === wires.length - 1;
      visit(wire.provider, labelled(plan, wire), indent + below, isLast ? '└─ ' : '├─ ', isLast ? '   ' : '│  ');
    }
  };
  for (const top of topsOf(plan)) visit(top, '', '', '', '');
  return lines.join('\n');
}

/** Bricks that nobody is wired to, in the order of the file. */
export function topsOf(plan: StackPlan): string[] {
  return plan.bricks
    .filter((brick) => plan.wires.every((wire) => wire.provider !== brick.name))
    .map((brick) => brick.name);
}

function labelled(plan: StackPlan, wire: PlannedWire): string {
  const label = inputLabel(plan, wire);
  return label === '' ? '' : `${label}: `;
}

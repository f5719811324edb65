import type { StackStatus } from '../handle.js';
import type { StackPlan } from '../plan/types.js';
import { LAMP_COLOURS } from './svg.js';
import { byName, inputLabel, lampOf, paramText } from './live.js';

/** The stack for Graphviz: `mars-stack graph x.yaml --format dot | dot -Tsvg`. */
export function renderDot(plan: StackPlan, options: { status?: StackStatus } = {}): string {
  const status = byName(options.status);
  const nodes = plan.bricks.map((brick) => {
    const label = [brick.name, brick.type, paramText(brick, 40)].filter((text) => text !== '').join('\n');
    const colour = LAMP_COLOURS[lampOf(status.get(brick.name))];
    return `  ${quote(brick.name)} [label=${quote(label)}, color=${quote(colour)}];`;
  });
  const wires = plan.wires.map((wire) => {
    const label = inputLabel(plan, wire);
    return `  ${quote(wire.consumer)} -> ${quote(wire.provider)}${label === '' ? '' : ` [label=${quote(label)}]`};`;
  });
  return [
    `digraph ${quote(plan.stack)} {`,
    '  node [shape=box, style=rounded, fontname="sans-serif"];',
    '  edge [fontname="sans-serif", fontsize=10];',
    ...nodes,
    ...wires,
    '}',
  ].join('\n');
}

function quote(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}

import type { StackStatus } from '../handle.js';
import type { PlannedBrick, PlannedWire, StackPlan } from '../plan/types.js';
import { layoutOf, type Layout, type Placed } from './layout.js';
import { byName, inputLabel, lampOf, paramText, type Lamp } from './live.js';

/** Readable on white and on dark ground, and apart for people who do not tell red from green (off is hollow). */
export const LAMP_COLOURS: Readonly<Record<Lamp, string>> = {
  on: '#2e9e4f',
  switching: '#d99a00',
  off: '#8a8f98',
  failed: '#d03b3b',
  unknown: '#5b6b8c',
};

/** Sizes in pixels. */
const BOX = { width: 190, height: 62, gapX: 34, gapY: 46, margin: 24, title: 34 };
/** Characters of parameters that fit into a box. */
const PARAM_CHARACTERS = 30;

/** The stack as a picture; needs no other program. Leds are coloured when the status of a running stack is given. */
export function renderSvg(plan: StackPlan, options: { status?: StackStatus } = {}): string {
  const layout = layoutOf(plan);
  const status = byName(options.status);
  const width = 2 * BOX.margin + layout.columns * (BOX.width + BOX.gapX) - BOX.gapX;
  const height = 2 * BOX.margin + BOX.title + layout.rows * (BOX.height + BOX.gapY) - BOX.gapY;
  const title = plan.about === '' ? plan.stack : `${plan.stack}: ${plan.about}`;
  const boxes = plan.bricks.map((brick) =>
    box(brick, layout, lampOf(status.get(brick.name)), status.get(brick.name)?.why ?? null),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escape(title)}</title>`,
    STYLE,
    `<text class="title" x="${BOX.margin}" y="${BOX.margin + 8}">${escape(titleFor(title, plan.stack, width))}</text>`,
    ...plan.wires.map((wire) => line(plan, wire, layout)),
    ...boxes,
    '</svg>',
  ].join('\n');
}

const STYLE = [
  '<style>',
  'svg { font-family: system-ui, sans-serif; font-size: 13px; color: #1f2733; background: #fff; }',
  '@media (prefers-color-scheme: dark) { svg { color: #e4e8ef; background: #171b22; } }',
  '.title { font-size: 15px; font-weight: 600; fill: currentColor; }',
  '.box { fill: none; stroke: currentColor; stroke-opacity: .35; }',
  '.overlay { stroke-dasharray: 5 4; stroke-opacity: .8; }',
  '.name { font-weight: 600; fill: currentColor; }',
  '.type, .params, .label { fill: currentColor; fill-opacity: .65; font-size: 11px; }',
  '.wire { fill: none; stroke: currentColor; stroke-opacity: .5; stroke-width: 1.4; }',
  '.arrow { fill: currentColor; fill-opacity: .5; }',
  '</style>',
].join('\n');

function box(brick: PlannedBrick, layout: Layout, lamp: Lamp, why: string | null): string {
  const { x, y } = corner(layout.placed.get(brick.name)!);
  const overlay = brick.overlay === null ? '' : ' overlay';
  const colour = LAMP_COLOURS[lamp];
  const led =
    lamp === 'unknown'
      ? ''
      : `<circle cx="${x + BOX.width - 16}" cy="${y + 18}" r="5.5" stroke="${colour}" stroke-width="2" fill="${lamp === 'off' ? 'none' : colour}"/>`;
  const about = [paramText(brick), why].filter(Boolean).join('\n');
  return [
    `<g>${about === '' ? '' : `<title>${escape(about)}</title>`}`,
    `<rect class="box${overlay}" x="${x}" y="${y}" width="${BOX.width}" height="${BOX.height}" rx="9"/>`,
    led,
    `<text class="name" x="${x + 13}" y="${y + 22}">${escape(shorten(brick.name, 22))}</text>`,
    `<text class="type" x="${x + 13}" y="${y + 38}">${escape(brick.type)}</text>`,
    `<text class="params" x="${x + 13}" y="${y + 53}">${escape(paramText(brick, PARAM_CHARACTERS))}</text>`,
    '</g>',
  ]
    .filter((part) => part !== '')
    .join('\n');
}

/** A curve from the bottom of the consumer to the top of the provider, with an arrow and the name of the input. */
function line(plan: StackPlan, wire: PlannedWire, layout: Layout): string {
  const from = corner(layout.placed.get(wire.consumer)!);
  const to = corner(layout.placed.get(wire.provider)!);
  const siblings = plan.wires.filter((other) => other.consumer === wire.consumer);
  const x1 = round(from.x + (BOX.width * (siblings.indexOf(wire) + 1)) / (siblings.length + 1));
  const y1 = from.y + BOX.height;
  const [x2, y2] = [to.x + BOX.width / 2, to.y - 7];
  const bend = round((y2 - y1) / 2);
  const label = inputLabel(plan, wire);
  return [
    `<path class="wire" d="M${x1} ${y1} C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}"/>`,
    `<path class="arrow" d="M${x2 - 4.5} ${y2} h9 l-4.5 7 z"/>`,
    label === '' ? '' : `<text class="label" x="${x1 + 6}" y="${y1 + 14}">${escape(label)}</text>`,
  ]
    .filter((part) => part !== '')
    .join('\n');
}

function corner({ row, x }: Placed): { x: number; y: number } {
  return {
    x: round(BOX.margin + (x - 0.5) * (BOX.width + BOX.gapX)),
    y: BOX.margin + BOX.title + row * (BOX.height + BOX.gapY),
  };
}

function round(n: number): number {
  return Math.round(n * 10) / 10;
}

/** The whole title when there is room for it (a bold character takes about 9 pixels), else the name alone. */
function titleFor(title: string, name: string, width: number): string {
  const room = Math.floor((width - 2 * BOX.margin) / 9);
  return title.length <= room ? title : shorten(name, room);
}

function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

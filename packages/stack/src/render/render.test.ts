import assert from 'node:assert/strict';
import type { StackStatus } from '../handle.js';
import { loadStack } from '../plan/load.js';
import type { StackPlan } from '../plan/types.js';
import { testRegistry, transcript } from '../kit.test.js';
import { renderDot } from './dot.js';
import { layoutOf } from './layout.js';
import { renderSvg } from './svg.js';
import { renderTree } from './tree.js';

const TEXT = `
mars: 1
stack: demo
about: <two> writers & "one" disk
vars: { key: { type: secret, default: hunter2 } }
bricks:
  disk: { type: ram, params: { size: 64M } }
  file: { type: ram }
  slow: { type: delay, in: disk, params: { write: 5ms } }
  it: { type: fragile, in: file, params: { secret: "\${key}" } }
  logger: { type: trans-logger, in: { data: slow, log: it } }
  dev: { type: dev, in: logger, params: { name: r1 } }
`;

describe('Pictures of stacks', () => {
  const { plan } = loadStack(TEXT, { registry: testRegistry() });
  const { cases, check } = transcript('render.txt');
  const draw: Record<string, () => string> = {
    tree: () => renderTree(plan),
    'tree of a running stack': () => renderTree(plan, { status: statusOf(plan) }),
    dot: () => renderDot(plan),
    svg: () => renderSvg(plan, { status: statusOf(plan) }),
  };

  for (const one of cases) it(`look as they should: ${one.title}`, () => check(one, draw[one.title]!()));

  it('never show a secret', () => {
    for (const picture of Object.values(draw)) assert.doesNotMatch(picture(), /hunter2/);
  });

  it('put every consumer above its providers, and no two bricks on one place', () => {
    const { placed } = layoutOf(plan);
    for (const wire of plan.wires) assert.ok(placed.get(wire.consumer)!.row < placed.get(wire.provider)!.row);
    assert.equal(new Set([...placed.values()].map(({ row, x }) => `${row}/${x}`)).size, plan.bricks.length);
  });

  it('are well-formed XML whatever the names and values hold', () => {
    const svg = renderSvg(plan);
    assert.match(svg, /&lt;two&gt; writers &amp; &quot;one&quot; disk/);
    const opened = [...svg.matchAll(/<(\w+)(?: [^>]*[^/>])?>/g)].map((match) => match[1]);
    const closed = [...svg.matchAll(/<\/(\w+)>/g)].map((match) => match[1]);
    assert.deepEqual(opened.sort(), closed.sort());
  });

  function statusOf(of: StackPlan): StackStatus {
    const leds = { disk: 'on', file: 'on', slow: 'switching', it: 'off', logger: 'off', dev: 'off' } as const;
    const bricks = of.bricks.map(({ name, type, base }) => ({
      ...{ name, type, base, button: true, led: leds[name as keyof typeof leds], forceOff: false, percent: 0, held: 0 },
      ...{ inputs: {}, info: null, stats: { counters: {}, histograms: {}, facts: {} } },
      ...{ origin: { kind: 'stack' as const }, isBuilt: true, wanted: true, byHand: null },
      why: name === 'logger' ? 'waits for "it"' : null,
      failure: name === 'it' ? { code: 'START_FAILED', message: 'brick "it" could not start', hint: null } : null,
    }));
    return { stack: of.stack, about: '', world: 'real', isSettled: true, bricks, facts: {}, exports: {} };
  }
});

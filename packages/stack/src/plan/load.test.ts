import assert from 'node:assert/strict';
import { isMarsError, type ErrorCodeName } from '@mars/brick-core';
import { testRegistry } from '../kit.test.js';
import { checkStack, loadStack, type LoadedStack } from './load.js';
import { applyOverlay, overlayOf, withoutFilter } from './overlay.js';
import { wireName, type StackPlan, type VarValues } from './types.js';

const HEAD = 'mars: 1\nstack: x\n';
const LOGS = [
  { key: '1', path: '/mars/log-1' },
  { key: '2', path: '/mars/log-2' },
];

describe('Loading a stack', () => {
  const registry = testRegistry();

  it('gives plain data without functions, in switching order', () => {
    const { plan } = load('bricks: { load: { type: load, in: disk }, disk: { type: ram } }');
    assert.deepEqual(structuredClone(plan), plan);
    assert.deepEqual(names(plan), ['disk', 'load']);
    assert.equal(plan.world, 'real');
  });

  it('reads variables as their declared types, and keeps the type of a string that is one variable', () => {
    const vars =
      'vars: { n: { type: integer }, b: { type: bytes }, ok: { type: boolean }, s: { type: string, default: hi } }\n';
    const bricks = 'bricks: { disk: { type: bio, params: { path: "${s}-${n}-${b}-${ok}", direct: "${ok}" } } }';
    const { plan } = load(vars + bricks, { n: '7', b: '64K', ok: 'true' });
    assert.deepEqual(plan.vars, { n: 7, b: 65536, ok: true, s: 'hi' });
    assert.deepEqual(paramsOf(plan, 'disk'), { path: 'hi-7-65536-true', direct: true });
  });

  describe('with a directory of logs', () => {
    const text =
      'vars: { logs: { type: log-directory } }\n' +
      'bricks:\n  log: { type: bio, each: "${logs}", params: { path: "${item.path}" } }\n' +
      '  disk: { type: bio, params: { path: "${logs.mode}" }, on: "logs.mode == \'logging\' && logs.start == 0" }';

    it('has no logs until somebody says which there are, and tells where to look', () => {
      const { plan, logDirectories } = load(text, { logs: '/mars/r' });
      assert.deepEqual(
        [logDirectories, plan.vars, names(plan)],
        [{ logs: { path: '/mars/r' } }, { logs: [] }, ['disk']],
      );
    });

    it('takes a map with further wishes, and refuses wishes that it does not know', () => {
      const value = '{"path":"/r","rotate":"64M","keep":2,"host":"a","force":true}';
      const wishes = { path: '/r', rotate: 2 ** 26, keep: 2, host: 'a', force: true };
      assert.deepEqual(load(text, { logs: value }).logDirectories, { logs: wishes });
      assert.deepEqual(load(text, { logs: { path: '/r' } }).logDirectories, { logs: { path: '/r' } });
      for (const wrong of ['{"path":"/r","rotat":1}', '{"keep":2}', '{', 7, { path: '/r', keep: 'x' }])
        assert.throws(() => load(text, { logs: wrong }), code('BAD_VARIABLE'), JSON.stringify(wrong));
    });

    it('has a family once they are known, and facts that say what to do with them', () => {
      const { plan, logDirectories } = load(text, { logs: LOGS });
      assert.deepEqual([logDirectories, names(plan).sort()], [{}, ['disk', 'log:1', 'log:2']]);
      assert.deepEqual(paramsOf(plan, 'disk').path, { $late: [{ fact: 'logs.mode' }] });
    });

    it('refuses facts that it does not have', () => {
      const { problems } = failure(HEAD + text.replace('logs.mode ==', 'logs.mood =='));
      assert.equal(problems.length, 2); // the variable has no value either
      assert.match(JSON.stringify(problems), /a log directory has no fact \\"mood\\"/);
    });
  });

  it('leaves "$${" alone', () => {
    const { plan } = load('bricks: { disk: { type: bio, params: { path: "/x/$${y}" } } }');
    assert.equal(paramsOf(plan, 'disk').path, '/x/${y}');
  });

  it('does not look for variables in the values of variables', () => {
    const { plan } = load('vars: { p: { type: path } }\nbricks: { disk: { type: bio, params: { path: "${p}/z" } } }', {
      p: '/${todo.primary}',
    });
    assert.equal(paramsOf(plan, 'disk').path, '/${todo.primary}/z');
  });

  it('keeps secrets apart from the plan', () => {
    const { plan, secrets } = load(
      'vars: { k: { type: secret } }\nbricks: { disk: { type: bio, params: { path: "a${k}b" } } }',
      { k: 'hunter2' },
    );
    assert.deepEqual(secrets, { k: 'hunter2' });
    assert.doesNotMatch(JSON.stringify(plan), /hunter2/);
  });

  it('makes one member per element, with the fields of the element', () => {
    const { plan } = load(
      'vars: { logs: { type: list } }\nbricks:\n  log: { type: bio, each: "${logs}", params: { path: "${item.path}" } }',
      { logs: LOGS },
    );
    assert.deepEqual(names(plan), ['log:1', 'log:2']);
    assert.deepEqual(paramsOf(plan, 'log:2'), { path: '/mars/log-2' });
  });

  it('uses texts as their own keys, and takes lists as JSON or with commas', () => {
    const text = 'vars: { l: { type: list } }\nbricks: { d: { type: bio, each: "${l}", params: { path: "${item}" } } }';
    assert.deepEqual(names(load(text, { l: 'a,b' }).plan), ['d:a', 'd:b']);
    assert.deepEqual(names(load(text, { l: '["a","b"]' }).plan), ['d:a', 'd:b']);
    assert.deepEqual(names(load(text, { l: '' }).plan), []);
  });

  it('wires a family to a port group in order of appearance, and joins families over one list by key', () => {
    const { plan } = load(
      `vars: { logs: { type: list } }
bricks:
  disk: { type: ram }
  log: { type: bio, each: "\${logs}", params: { path: "\${item.path}" } }
  slow: { type: delay, each: "\${logs}", in: log }
  logger: { type: trans_logger, in: { data: disk, log: slow } }`,
      { logs: LOGS },
    );
    assert.deepEqual(
      plan.wires.map((wire) => `${wireName(wire)}[${wire.nr}] ${wire.provider}`),
      [
        'slow:1.next[0] log:1',
        'slow:2.next[0] log:2',
        'logger.data[0] disk',
        'logger.log[0] slow:1',
        'logger.log[1] slow:2',
      ],
    );
    assert.equal(plan.bricks.find((brick) => brick.name === 'logger')!.type, 'trans-logger');
  });

  it('means the member with the same key when a family asks for a fact of another family over its list', () => {
    const { plan } = load(
      'vars: { l: { type: list } }\nbricks:\n  a: { type: ram, each: "${l}" }\n  b: { type: ram, each: "${l}", on: a.on }\n  c: { type: ram, on: a.off }',
      { l: '1,2' },
    );
    const conditions = plan.bricks.flatMap(({ name, on }) => (on.kind === 'expression' ? [[name, on.expression]] : []));
    assert.deepEqual(conditions, [
      ['b:1', { kind: 'fact', name: 'a:1.on', at: 0 }],
      ['b:2', { kind: 'fact', name: 'a:2.on', at: 0 }],
      ['c', { kind: 'fact', name: 'a.off', at: 0 }],
    ]);
  });

  it('puts the values of variables into conditions', () => {
    const { plan } = load("vars: { m: { type: string } }\nbricks: { a: { type: ram, on: m == 'log' } }", { m: 'log' });
    const on = plan.bricks[0]!.on;
    assert.ok(on.kind === 'expression' && on.expression.kind === 'compare');
    assert.deepEqual(on.expression.left, { kind: 'value', value: 'log', at: 0 });
  });

  it('reads order, time-outs, adaptor policy and exports', () => {
    const { plan } = load(`bricks:
  disk: { type: ram, keep: true }
  other: { type: ram }
  load: { type: load, in: disk, after: [other], adapt: never, ioTimeout: 30s }
export: { data: disk }`);
    const brick = plan.bricks.find(({ name }) => name === 'load')!;
    assert.deepEqual([brick.after, brick.adapt, brick.ioTimeoutMs], [['other'], 'never', 30_000]);
    assert.equal(plan.bricks[0]!.keep, true);
    assert.deepEqual(plan.exports, { data: { brick: 'disk', port: 'out' } });
  });

  it('follows YAML anchors, with places where they are used', () => {
    const { plan } = load('bricks:\n  a: { type: ram, params: &p { size: 1M } }\n  b: { type: ram, params: *p }');
    assert.deepEqual(paramsOf(plan, 'b'), { size: '1M' });
    const error = failure(
      `${HEAD}bricks:\n  a: { type: ram, params: &p { size: 1X } }\n  b: { type: ram, params: *p }`,
    );
    assert.deepEqual(
      error.problems.map((problem) => problem.place),
      [
        { file: 'stack.yaml', line: 4, column: 38 },
        { file: 'stack.yaml', line: 5, column: 27 },
      ],
    );
  });

  it('takes two consumers that exclude each other when conditions keep them apart', () => {
    const { plan } = load(
      "bricks:\n  disk: { type: ram }\n  a: { type: load, in: disk, on: todo.primary }\n  b: { type: load, in: disk, on: '!todo.primary' }",
    );
    assert.equal(plan.bricks.length, 3);
  });

  it('lets a reader stand beside a writer', () => {
    const { plan } = load(
      'bricks:\n  disk: { type: ram }\n  t: { type: ram }\n  copy: { type: copy, in: { a: disk, b: t } }\n  load: { type: load, in: disk }',
    );
    assert.equal(plan.wires.length, 3);
  });

  it('chooses one of several stacks', () => {
    const text =
      'mars: 1\nstack: a\nbricks: { d: { type: ram } }\n---\nmars: 1\nstack: b\nbricks: { e: { type: ram } }';
    assert.deepEqual(names(loadStack(text, { registry, stack: 'b' }).plan), ['e']);
    assert.throws(() => loadStack(text, { registry, stack: 'c' }), code('BAD_STACK_FILE'));
  });

  it('accepts facts that the caller will supply, and no others', () => {
    const text = `${HEAD}bricks: { a: { type: ram, on: my.fact } }`;
    assert.equal(loadStack(text, { registry, facts: ['my.fact'] }).plan.bricks.length, 1);
    assert.throws(() => loadStack(text, { registry }), code('BAD_EXPRESSION'));
  });

  it('refuses more wires above each other than a request can pass', () => {
    const filters = Array.from(
      { length: 65 },
      (_, nr) => `  f${nr}: { type: delay, in: ${nr === 0 ? 'disk' : `f${nr - 1}`} }`,
    );
    assert.throws(() => load(['bricks:', '  disk: { type: ram }', ...filters].join('\n')), code('STACK_TOO_DEEP'));
  });

  describe('checking a template', () => {
    const text = `${HEAD}vars: { disk: { type: path }, logs: { type: list }, n: { type: integer } }
bricks:
  disk: { type: bio, params: { path: "\${disk}" } }
  log: { type: bio, each: "\${logs}", params: { path: "\${item.path}" } }
  logger: { type: trans-logger, in: { data: disk, log: log } }`;

    it('needs no values, and names those that are missing', () => {
      assert.deepEqual(checkStack(text, { registry }).plan?.missing, ['disk', 'logs', 'n']);
    });

    it('still finds what is wrong', () => {
      assert.throws(() => checkStack(text.replace('log: log', 'log: lgo'), { registry }), code('BAD_WIRE'));
    });

    it('checks an overlay alone', () => {
      const overlay = 'mars: 1\noverlay: o\ninsert: { wire: a.b, brick: { type: delay, params: { write: 1ms } } }';
      assert.deepEqual(checkStack(overlay, { registry }), { plan: null, overlays: ['o'] });
      assert.throws(() => checkStack(overlay.replace('1ms', 'soon'), { registry }), code('BAD_PARAMETER'));
    });
  });

  describe('overlays', () => {
    const text =
      'bricks: { disk: { type: ram }, other: { type: ram }, copy: { type: copy, in: { a: disk, b: other } } }';

    it('go on the named wire and leave the given plan alone', () => {
      const { plan } = load(text);
      const before = structuredClone(plan);
      const changed = applyOverlay(
        plan,
        overlayOf({ wire: 'copy.b', type: 'delay', params: { write: '1ms' } }, [], registry),
      );
      assert.deepEqual(plan, before);
      assert.deepEqual(
        changed.wires.map((wire) => `${wireName(wire)} ${wire.provider}`),
        ['copy.a disk', 'copy.b delay', 'delay.next other'],
      );
      assert.ok(names(changed).indexOf('other') < names(changed).indexOf('delay'));
    });

    it('make a family of filters on the wires of a family', () => {
      const { plan } = loadStack(
        [
          {
            file: 's.yaml',
            text: `${HEAD}vars: { l: { type: list }, ms: { type: string, default: 3ms } }\nbricks: { d: { type: ram }, log: { type: ram, each: "\${l}" }, g: { type: trans-logger, in: { data: d, log: log } } }`,
          },
          {
            file: 'o.yaml',
            text: 'mars: 1\noverlay: slow-log\ninsert: { wire: g.log, brick: { type: delay, params: { write: "${ms}" } } }',
          },
        ],
        { registry, vars: { l: '1,2' } },
      );
      const wires = plan.wires
        .filter((wire) => wire.input !== 'data')
        .map((wire) => `${wireName(wire)}[${wire.nr}] ${wire.provider}`);
      assert.deepEqual(wires, [
        'g.log[0] slow_log:1',
        'g.log[1] slow_log:2',
        'slow_log:1.next[0] log:1',
        'slow_log:2.next[0] log:2',
      ]);
      assert.deepEqual(paramsOf(plan, 'slow_log:2'), { write: '3ms' });
    });

    it('stack up in order, each with a name of its own', () => {
      const twice = [1, 2].map((nr) => ({
        file: `${nr}.yaml`,
        text: `mars: 1\noverlay: o${nr}\ninsert: { wire: copy.a, brick: { type: delay } }`,
      }));
      const { plan } = loadStack([{ file: 's.yaml', text: HEAD + text }, ...twice], { registry });
      const at = (consumer: string): string => plan.wires.find((wire) => wire.consumer === consumer)!.provider;
      assert.deepEqual([at('copy'), at('o2'), at('o1')], ['o2', 'o1', 'disk']);
      assert.throws(
        () => loadStack([{ file: 's.yaml', text: HEAD + text }, twice[0]!, twice[0]!], { registry }),
        code('BAD_OVERLAY'),
      );
    });

    it('say which inputs there are when a consumer has several', () => {
      const { plan } = load(text);
      assert.throws(
        () => applyOverlay(plan, overlayOf({ wire: 'copy', type: 'delay' }, [], registry)),
        /several inputs/,
      );
    });

    it('can be taken back', () => {
      const { plan } = load(text);
      const changed = applyOverlay(plan, overlayOf({ wire: 'copy.b', type: 'delay' }, [], registry));
      assert.deepEqual(withoutFilter(changed, 'delay', registry), { ...plan });
      assert.throws(() => withoutFilter(plan, 'disk', registry), code('BAD_WIRE'));
    });

    it('find a free name for what comes from the command line', () => {
      assert.equal(overlayOf({ wire: 'x', type: 'delay' }, ['delay', 'delay_2'], registry).name, 'delay_3');
    });
  });

  function load(text: string, vars: VarValues = {}): LoadedStack {
    return loadStack(HEAD + text, { registry, vars });
  }

  function failure(text: string): { problems: { place?: unknown }[] } {
    try {
      loadStack(text, { registry });
    } catch (error) {
      return error as { problems: { place?: unknown }[] };
    }
    throw new Error('it was accepted');
  }

  function names(plan: StackPlan): string[] {
    return plan.bricks.map((brick) => brick.name);
  }

  function paramsOf(plan: StackPlan, name: string): Record<string, unknown> {
    return plan.bricks.find((brick) => brick.name === name)!.params;
  }

  function code(expected: ErrorCodeName): (error: unknown) => boolean {
    return (error) => isMarsError(error) && error.code === expected;
  }
});

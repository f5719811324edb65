import assert from 'node:assert/strict';
import { FilterBrick } from '../brick/filter-brick.js';
import { Brick, brickMeta } from '../brick/meta.js';
import { createTestHost, type TestHost } from '../testing/index.js';
import { BrickRegistry } from './registry.js';

@Brick({ type: 'test-pass', aliases: ['test-through'], inputs: { next: {} }, ops: 'all' })
class Pass extends FilterBrick {}

describe('wiring', () => {
  let host: TestHost;
  const wire = (consumer: string): { consumer: string; input: string; nr: number } => ({
    consumer,
    input: 'next',
    nr: 0,
  });
  beforeEach(() => {
    host = createTestHost({ bricks: [Pass] });
    for (const name of ['a', 'b', 'c']) host.graph.add(name, 'test-pass');
    host.graph.add('disk', 'test-disk');
  });

  it('refuses a second provider for one input', () => {
    host.graph.connect(wire('a'), 'disk');
    assert.throws(() => host.graph.connect(wire('a'), 'b'), /a.next has a provider already \("disk"\)/);
  });

  it('refuses every cycle and names the way round', () => {
    assert.throws(() => host.graph.connect(wire('a'), 'a'), /cycle: a → a/);
    host.graph.connect(wire('a'), 'b');
    host.graph.connect(wire('b'), 'c');
    assert.throws(() => host.graph.connect(wire('c'), 'a'), /cycle: c → a → b → c/);
  });

  it('refuses names that do not exist, with the nearest one', () => {
    const hint = (pattern: RegExp, code: string) => (error: Error & { code: string; hint: string }) => {
      assert.equal(error.code, code);
      assert.match(error.hint, pattern);
      return true;
    };
    assert.throws(() => host.graph.connect(wire('a'), 'dusk'), hint(/Did you mean "disk"/, 'NO_SUCH_BRICK'));
    assert.throws(() => host.graph.connect({ consumer: 'a', input: 'nxt', nr: 0 }, 'disk'), hint(/"next"/, 'BAD_WIRE'));
    assert.throws(() => host.graph.connect({ consumer: 'a', input: 'next', nr: 1 }, 'disk'), { code: 'BAD_WIRE' });
    assert.throws(() => host.graph.connect(wire('a'), 'disk', 'outt'), hint(/"out"/, 'BAD_WIRE'));
    assert.throws(() => host.graph.add('x', 'test-dsk'), hint(/"test-disk"/, 'UNKNOWN_BRICK_TYPE'));
    assert.throws(() => host.graph.add('a', 'test-disk'), { code: 'BAD_WIRE' });
  });

  it('ranks consumers before providers', () => {
    host.graph.connect(wire('a'), 'b');
    host.graph.connect(wire('b'), 'disk');
    host.graph.connect(wire('c'), 'disk');
    const names = host.graph.providersFirst().map((b) => b.name);
    assert.ok(names.indexOf('disk') < names.indexOf('b') && names.indexOf('b') < names.indexOf('a'));
    assert.deepEqual(
      host.graph
        .status()
        .map((s) => s.name)
        .at(-1),
      'disk',
    );
  });

  it('shows a brick as plain data', async () => {
    host.graph.connect(wire('a'), 'disk');
    for (const name of ['disk', 'a']) await host.clock.settle(host.graph.press(name));
    const status = host.graph.statusOf(host.graph.get('a'));
    assert.deepEqual(
      [status.type, status.led, status.button, status.held, status.inputs],
      ['test-pass', 'on', true, 0, { next: 'disk' }],
    );
    assert.equal(status.info!.sizeBytes, 2 ** 20);
    assert.doesNotThrow(() => structuredClone(status));
  });
});

describe('BrickRegistry', () => {
  it('knows types by name, by alias, and with underscores', () => {
    const registry = new BrickRegistry().register([Pass], 'here');
    for (const name of ['test-pass', 'test-through', 'test_pass']) assert.equal(registry.get(name).cls, Pass);
  });

  it('takes the same class twice, and refuses another one of the same name', () => {
    const registry = new BrickRegistry().register([Pass, Pass], 'here');
    @Brick({ type: 'test-pass', inputs: { next: {} } })
    class Other extends FilterBrick {}
    assert.throws(() => registry.register([Other], 'there'), /comes from here and from there/);
  });

  it('refuses classes without a table, and bricks of another copy of the core', () => {
    class Bare extends FilterBrick {}
    assert.throws(() => new BrickRegistry().register([Bare], 'x'), { code: 'BAD_BRICK_CLASS' });
    class Foreign {}
    Brick({ type: 'test-foreign' })(Foreign as never);
    assert.throws(() => new BrickRegistry().register([Foreign as never], 'x'), { code: 'DUPLICATE_CORE' });
  });
});

describe('@Brick', () => {
  const refused = (meta: object, pattern: RegExp): void =>
    assert.throws(
      () => Brick(meta as never)(class X extends FilterBrick {}),
      (error: Error & { code: string }) => {
        assert.equal(error.code, 'BAD_BRICK_CLASS');
        assert.match(error.message, pattern);
        return true;
      },
    );

  it('fills in what a table leaves out', () => {
    const meta = brickMeta(Pass)!;
    assert.deepEqual(meta.outputs, ['out']);
    assert.deepEqual([meta.ops, meta.live, meta.caps, meta.about], [-1, [], [], '']);
  });

  it('refuses wrong tables at import', () => {
    refused({ type: 'Upper' }, /no type name/);
    refused({ type: 'x', inputs: { 'a-b': {} } }, /no port name/);
    refused({ type: 'x', ops: ['raed'] }, /no operation is called "raed"/);
    refused({ type: 'x', ops: [99] }, /no operation/);
    refused({ type: 'x', caps: ['FLUHS'] }, /no capability/);
    refused({ type: 'x', inputs: { next: { needs: { caps: ['NOPE'] } } } }, /no capability/);
    refused({ type: 'x', live: ['y'] }, /"live" names the parameter "y"/);
    refused({ type: 'x', params: { properties: { ms: { unit: 'ms', default: 3 } } } }, /default of "ms"/);
    refused(
      {
        type: 'x',
        params: { properties: { list: { items: { properties: { n: { unit: 'bytes', default: 'many' } } } } } },
      },
      /default of "list.n"/,
    );
  });
});

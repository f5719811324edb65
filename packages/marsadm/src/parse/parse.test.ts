import assert from 'node:assert/strict';
import fc from 'fast-check';
import { UsageError } from '../exit.js';
import { parseCommandLine } from './command-line.js';
import { compareNaturally, suggestions } from './names.js';
import { ipAddress, isIpAddress } from './options.js';
import { humanSeconds, parseSize } from './size.js';

describe('sizes', () => {
  it('know powers of 1000 in lower case and of 1024 in upper case', () => {
    assert.equal(parseSize('20G'), 20 * 1024 ** 3);
    assert.equal(parseSize('512k'), 512_000);
    assert.equal(parseSize('1.5M'), 1_572_864);
    assert.equal(parseSize('1048576'), 1_048_576);
  });

  it('are refused when they are no multiple of 4096, too large, or no size', () => {
    for (const text of ['1', '5k', '4095', '0.3K', '9999999P', '20g0', '-4096', '1e6', '', '4 K', '20GiB'])
      assert.throws(() => parseSize(text), UsageError, text);
  });

  it('are what was written, for every number of blocks', () => {
    fc.assert(fc.property(fc.nat(2 ** 31), (blocks) => parseSize(String(blocks * 4096)) === blocks * 4096));
    fc.assert(fc.property(fc.nat(10 ** 6), (kib) => parseSize(`${kib * 4}K`) === kib * 4096));
  });
});

describe('names', () => {
  it('are ordered so that r2 comes before r10', () => {
    assert.deepEqual(['r10', 'r2', 'a', 'r2b', 'r02', 'r1'].sort(compareNaturally), [
      'a',
      'r1',
      'r2',
      'r2b',
      'r02',
      'r10',
    ]);
  });

  it('have one order, whatever they are', () => {
    const name = fc.stringMatching(/^[a-c0-2]{0,6}$/);
    fc.assert(
      fc.property(name, name, name, (a, b, c) => {
        assert.equal(Math.sign(compareNaturally(a, b)), -Math.sign(compareNaturally(b, a)) || 0);
        assert.equal(compareNaturally(a, b) === 0, a === b);
        if (compareNaturally(a, b) < 0 && compareNaturally(b, c) < 0) assert.ok(compareNaturally(a, c) < 0);
      }),
    );
  });

  it('are suggested when they are near', () => {
    assert.deepEqual(suggestions('primray', ['primary', 'secondary']), ['primary']);
    assert.deepEqual(suggestions('wait', ['wait-cluster', 'wait-umount', 'up']), ['wait-umount', 'wait-cluster']);
    assert.deepEqual(suggestions('xyz', ['primary']), []);
  });
});

describe('addresses', () => {
  it('are four numbers below 256', () => {
    const byte = fc.nat(255);
    fc.assert(fc.property(byte, byte, byte, byte, (...bytes) => isIpAddress(bytes.join('.'))));
    for (const text of ['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', '1.2.3.4.', 'nodea'])
      assert.throws(() => ipAddress(text), UsageError, text);
  });
});

describe('humanSeconds', () => {
  it('counts hours without end, and shows nothing that is not known', () => {
    assert.equal(humanSeconds(1000), '00:16:40');
    assert.equal(humanSeconds(360_000.9), '100:00:00');
    assert.equal(humanSeconds(-1), '--:--:--');
  });
});

describe('the command line', () => {
  it('may be anything: it is understood, or refused with a reason', () => {
    const word = fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.constantFrom(
        '--force',
        '--timeout=3',
        '--host=a',
        '--ip-b=1.2.3.4',
        'force-primary',
        'up',
        'all',
        '-v',
        '--json',
      ),
      fc.string({ maxLength: 6 }).map((s) => `--${s}`),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (argv) => {
        try {
          parseCommandLine(argv);
        } catch (error) {
          assert.ok(error instanceof UsageError, String(error));
        }
      }),
    );
  });

  it('gives --ip to the host that was named before', () => {
    const parsed = parseCommandLine(['--ip=192.0.2.1', '--host=nodeb', '--ip=192.0.2.2', '--ip-nodec=192.0.2.3', 'x']);
    assert.ok(parsed.kind === 'command');
    assert.deepEqual(
      [...parsed.line.options.ips],
      [
        ['', '192.0.2.1'],
        ['nodeb', '192.0.2.2'],
        ['nodec', '192.0.2.3'],
      ],
    );
  });

  it('strips force- from every word, and counts it', () => {
    const parsed = parseCommandLine(['force-primary', 'force-r1', '-f']);
    assert.ok(parsed.kind === 'command');
    assert.deepEqual([parsed.line.command, parsed.line.args, parsed.line.options.force], ['primary', ['r1'], 3]);
  });

  it('acts at --help and --version where they stand', () => {
    assert.equal(parseCommandLine(['--version', '--nonsense']).kind, 'version');
    assert.throws(() => parseCommandLine(['--nonsense', '--version']), UsageError);
    const help = parseCommandLine(['primary', '--help']);
    assert.ok(help.kind === 'help' && help.about === 'primary');
  });
});

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { COMMANDS } from './commands/index.js';
import { runMarsadm } from './marsadm.js';
import { START_NS, StoryWorld } from './testing/story-world.test.kit.js';

const schema = JSON.parse(
  readFileSync(new URL('../schema/marsadm-output.schema.json', import.meta.url), 'utf8'),
) as object;

describe('--json', () => {
  const validate = new Ajv2020({ strict: true }).compile(schema);
  let dir = '';
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'marsadm-json-'))));
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  async function run(...argv: string[]): Promise<void> {
    const names = new Map<string, string>();
    const world = new StoryWorld({
      dir,
      host: 'nodea',
      isLoaded: false,
      reactions: [],
      names,
      programs: new Map(),
      env: {},
    });
    world.plant('uuid', 'nodea_1690000000.000000000', START_NS);
    world.plant('ips/ip-nodea', '192.0.2.1', START_NS);
    const status = await runMarsadm([...argv, '--json'], world);
    assert.equal(world.stderr, '', argv.join(' '));
    const [line, ...rest] = world.stdout.split('\n');
    assert.deepEqual(rest, [''], argv.join(' '));
    const output = JSON.parse(line!) as { exitStatus: number };
    assert.ok(validate(output), `${argv.join(' ')}: ${JSON.stringify(validate.errors)}`);
    assert.equal(output.exitStatus, status);
  }

  for (const { name } of COMMANDS) {
    it(`of ${name} follows the schema, whatever comes of it`, async () => {
      await run(name, 'r', 'x', 'y', '--dry-run', '--timeout=0');
      rmSync(dir, { recursive: true });
      dir = mkdtempSync(join(tmpdir(), 'marsadm-json-'));
      await run(name);
    });
  }

  it('of a command line without sense follows the schema, too', async () => {
    for (const argv of [[], ['nonsense'], ['--nonsense'], ['up'], ['help', 'nonsense']]) {
      rmSync(dir, { recursive: true });
      dir = mkdtempSync(join(tmpdir(), 'marsadm-json-'));
      await run(...argv);
    }
  });
});

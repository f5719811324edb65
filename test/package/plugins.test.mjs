// Packed packages, installed elsewhere: the example passes the conformance suite outside of this repository, the plugin
// directory lets in what is allowed and refuses the rest, and the starter makes a package whose tests are green.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const marsStack = path.join(root, 'node_modules/.bin/mars-stack');

function run(command, args, { cwd = root, env = {}, status = 0 } = {}) {
  const result = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1', ...env },
    timeout: 240_000,
  });
  const text = `${result.stdout}${result.stderr}`;
  assert.equal(result.status, status, `${command} ${args.join(' ')} in ${cwd}\n${text}`);
  return result;
}

/** Packs a package directory into `into`; returns the path of the tarball. */
function pack(directory, into) {
  const { stdout } = run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', into], { cwd: directory });
  return path.join(into, JSON.parse(stdout)[0].filename);
}

const npmInstall = (cwd, ...packages) =>
  run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', ...packages], { cwd });

describe('packages outside of this repository', function () {
  this.timeout(300_000);
  let scratch;
  let core;
  let example;
  let latency;

  before(() => {
    scratch = mkdtempSync(path.join(tmpdir(), 'mars-package-'));
    core = pack(path.join(root, 'packages/brick-core'), scratch);
    example = path.join(scratch, 'example');
    cpSync(path.join(root, 'examples/mars-brick-latency'), example, {
      recursive: true,
      filter: (file) => !/\/(dist|node_modules)(\/|$)/.test(file),
    });
    npmInstall(example, '--no-save', core);
  });
  after(() => rmSync(scratch, { recursive: true, force: true }));

  it('the example passes its tests and the conformance suite against the packed core', () => {
    const { stdout } = run('npm', ['test'], { cwd: example });
    assert.match(stdout, /conformance of "acme\/latency"/);
    assert.match(stdout, /allocates nothing per request/);
    latency = pack(example, scratch);
  });

  it('the packed core carries no tests', () => {
    const { stdout } = run('tar', ['tzf', core]);
    assert.match(stdout, /package\/dist\/testing\/conformance\.js/);
    assert.doesNotMatch(stdout, /\.test\.js/);
  });

  it('the starter makes a package whose tests are green', () => {
    const made = path.join(scratch, 'made');
    run('node', [path.join(root, 'packages/create-mars-brick/create.mjs'), '@acme/mars-brick-count', made]);
    assert.deepEqual(readdirSync(path.join(made, 'src')).sort(), ['count.test.ts', 'count.ts']);
    npmInstall(made, '--no-save', core);
    const { stdout } = run('npm', ['test'], { cwd: made });
    assert.match(stdout, /conformance of "acme\/count"/);
  });

  it('the starter refuses bad names and directories that are in use, and changes nothing', () => {
    const create = path.join(root, 'packages/create-mars-brick/create.mjs');
    assert.match(run('node', [create, 'count'], { cwd: scratch, status: 2 }).stderr, /no name for a brick package/);
    const before = readFileSync(path.join(example, 'package.json'), 'utf8');
    assert.match(run('node', [create, 'mars-brick-count', example], { status: 2 }).stderr, /not empty/);
    assert.equal(readFileSync(path.join(example, 'package.json'), 'utf8'), before);
  });

  describe('in a plugin directory', () => {
    let etc;
    let plugins;
    const list = () => JSON.parse(run(marsStack, ['plugins', 'list', '--json'], { env: { MARS_ETC: etc } }).stdout);
    const allow = (text) => writeFileSync(path.join(plugins, 'allow.yaml'), `mars: 1\nallow:\n${text}`);
    const edit = (file, change) => writeFileSync(file, change(readFileSync(file, 'utf8')));

    beforeEach(() => {
      etc = mkdtempSync(path.join(scratch, 'etc-'));
      plugins = path.join(etc, 'plugins');
      run(marsStack, ['plugins', 'init'], { env: { MARS_ETC: etc } });
      npmInstall(plugins, latency);
    });

    it('a package that is not on the allow list is reported and not loaded', () => {
      const [report] = list();
      assert.equal(report.state, 'not-allowed');
      assert.match(report.error.hint, /allow\.yaml/);
      const shown = run(marsStack, ['show', 'acme/latency'], { env: { MARS_ETC: etc }, status: 2 });
      assert.match(shown.stderr, /UNKNOWN_BRICK_TYPE/);
    });

    it('a package on the allow list brings its type, and stacks can use it', () => {
      allow('  - name: "@acme/mars-brick-latency"\n    version: ^1.2.0\n');
      assert.deepEqual(
        list().map((r) => [r.state, r.types]),
        [['loaded', ['acme/latency']]],
      );
      const stack = path.join(etc, 'try.yaml');
      writeFileSync(
        stack,
        `mars: 1
stack: try-latency
world: sim
bricks:
  disk:    { type: ram, params: { size: 1M } }
  measure: { type: acme/latency, in: disk }
  load:    { type: load, in: measure, params: { count: 500, verify: true } }
`,
      );
      const { stdout } = run(marsStack, ['run', stack, '--json'], { env: { MARS_ETC: etc } });
      assert.match(stdout.trim().split('\n').at(-1), /"resultHash"/);
    });

    it('a version that is not allowed is refused', () => {
      allow('  - name: "@acme/mars-brick-latency"\n    version: ^2.0.0\n');
      assert.equal(list()[0].error.code, 'PLUGIN_NOT_ALLOWED');
    });

    it('another API version is refused', () => {
      allow('  - name: "@acme/mars-brick-latency"\n');
      edit(path.join(plugins, 'node_modules/@acme/mars-brick-latency/package.json'), (text) =>
        text.replace(/"api": 1/, '"api": 2'),
      );
      assert.equal(list()[0].error.code, 'PLUGIN_API_VERSION');
    });

    it('a second copy of the core is refused loudly', () => {
      allow('  - name: "@acme/mars-brick-latency"\n');
      // What happens when somebody installs the core itself into the plugin directory instead of the link.
      npmInstall(plugins, core);
      const [report] = list();
      assert.equal(report.error.code, 'DUPLICATE_CORE');
      assert.match(report.error.hint, /peer dependency/);
    });

    it('a broken allow list names file, line and column', () => {
      writeFileSync(path.join(plugins, 'allow.yaml'), 'mars: 1\nallow:\n  - nam: x\n');
      const { stderr } = run(marsStack, ['plugins', 'list'], { env: { MARS_ETC: etc }, status: 2 });
      assert.match(stderr, /allow\.yaml:3:5: PLUGIN_BAD_MANIFEST/);
    });
  });
});

// Helpers of the NBD interop tests: foreign programs with a hard end, and our server in a process of its own.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** fio's nbd engine and others wait for ever when a server stalls; after this time they are killed, ms. */
export const KILL_MS = 60_000;
const SERVE = fileURLToPath(new URL('./nbd-serve.mjs', import.meta.url));

/** Runs a program to its end. Rejects, with what it said, when it fails or has to be killed. */
export async function run(program, args, { killMs = KILL_MS, env = {}, mayFail = false } = {}) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (err += text));
  const timer = setTimeout(() => child.kill('SIGKILL'), killMs);
  const [code, signal] = await once(child, 'close').finally(() => clearTimeout(timer));
  if (!mayFail && code !== 0) throw new Error(`${program} ${args.join(' ')}: ${signal ?? code}\n${out}\n${err}`);
  return { code, signal, out, err };
}

/** Skips the test when one of the programs is not installed. */
export function needs(test, ...programs) {
  const missing = programs.filter((name) => spawnSync('which', [name]).status !== 0);
  if (missing.length === 0) return;
  console.log(`    skipped: ${missing.join(', ')} not installed`);
  test.skip();
}

/** A directory for one suite; `remove` after it. */
export function scratch() {
  const dir = mkdtempSync(path.join(tmpdir(), 'mars-nbd-'));
  return { file: (name) => path.join(dir, name), dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

/** `bytes` that look random, the same for the same seed, with holes in between: images should have some. */
export function writeImage(file, bytes, seed) {
  const block = 64 * 1024;
  const parts = [];
  for (let at = 0, n = 0; at < bytes; at += block, n++) {
    const size = Math.min(block, bytes - at);
    if (n % 5 === 3) parts.push(Buffer.alloc(size));
    else parts.push(createHash('shake256', { outputLength: size }).update(`${seed}/${n}`).digest());
  }
  writeFileSync(file, Buffer.concat(parts));
}

/** sha256 of the first `bytes` of a file. */
export function digestOf(file, bytes) {
  const fd = openSync(file, 'r');
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(1024 * 1024);
  let left = bytes;
  for (let n = 1; left > 0 && n > 0; left -= n) {
    n = readSync(fd, buffer, 0, Math.min(buffer.length, left), null);
    hash.update(buffer.subarray(0, n));
  }
  closeSync(fd);
  return hash.digest('hex');
}

/**
 * Our server. `fronts`: parameters of one if-nbd brick each; `options`: see nbd-serve.mjs.
 * `stop()` ends it in good order and fails when it left anything behind.
 */
export async function serve(fronts, { store, options = [] } = {}) {
  const args = [SERVE, ...fronts.map((front) => JSON.stringify(front)), ...options];
  if (store) args.push('--store', JSON.stringify(store));
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NBD_SERVE_REPORT: '1' },
  });
  let out = '';
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (err += text));
  child.stdout.setEncoding('utf8');
  const closed = once(child, 'close');
  await new Promise((resolve, reject) => {
    child.stdout.on('data', (text) => {
      out += text;
      if (/^ready.*\n/m.test(out)) resolve();
    });
    void closed.then(() => reject(new Error(`the server did not start\n${out}\n${err}`)));
  });
  return {
    pid: child.pid,
    /** The addresses it listens on, in the order of the bricks. */
    addresses: /^ready (.*)\n/m.exec(out)[1].split(' '),
    kill: async () => {
      child.kill('SIGKILL');
      await closed;
    },
    stop: async () => {
      const timer = setTimeout(() => child.kill('SIGKILL'), KILL_MS);
      child.kill('SIGTERM');
      const [code, signal] = await closed.finally(() => clearTimeout(timer));
      if (code !== 0) throw new Error(`the server ended with ${signal ?? code}\n${out}\n${err}`);
      return JSON.parse(/^report (.*)\n/m.exec(out)[1]);
    },
  };
}

/** A CA, and certificates for `localhost` as server and as client, in the layout that libnbd and qemu expect. */
export function makeCertificates({ file }) {
  const openssl = (...args) => {
    const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8', timeout: KILL_MS });
    if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
  };
  const key = (name) => openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', file(`${name}-key.pem`));
  const authority = (name) => {
    key(name);
    const subject = ['-subj', `/CN=${name}`, '-days', '2'];
    openssl('req', '-x509', '-new', '-key', file(`${name}-key.pem`), ...subject, '-out', file(`${name}-cert.pem`));
  };
  const certificate = (name, by) => {
    key(name);
    openssl('req', '-new', '-key', file(`${name}-key.pem`), '-subj', '/CN=localhost', '-out', file(`${name}.csr`));
    const usage = name.startsWith('server') ? 'serverAuth' : 'clientAuth';
    const extensions = ['subjectAltName=DNS:localhost,IP:127.0.0.1', `extendedKeyUsage=${usage}`];
    writeFileSync(file(`${name}.ext`), [...extensions, 'basicConstraints=CA:FALSE', ''].join('\n'));
    const signer = ['-CA', file(`${by}-cert.pem`), '-CAkey', file(`${by}-key.pem`), '-CAcreateserial'];
    const input = ['-req', '-in', file(`${name}.csr`), '-days', '2', '-extfile', file(`${name}.ext`)];
    openssl('x509', ...input, ...signer, '-out', file(`${name}-cert.pem`));
  };
  authority('ca');
  certificate('server', 'ca');
  certificate('client', 'ca');
}

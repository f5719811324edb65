// kill -9 under load, of clients and of the server: no corruption, and the next start finds nothing in its way.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { F_FUA, createRandom } from '@mars/brick-core';
import { BrickKit } from '@mars/brick-core/testing';
import { NbdClientBrick } from '@mars/bricks-if';
import { realHost } from '../machine/hosts.mjs';
import { KILL_MS, needs, run, scratch, serve } from './nbd-tools.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const MARS_STACK = path.join(here, '../../packages/marsd/dist/mars-stack/main.js');
const STACK = path.join(here, '../../stacks/nbd-file.yaml');
const BLOCK_BYTES = 4096;
const SIZE = 64 * 2 ** 20;

describe('kill -9 of clients under load', function () {
  this.timeout(3 * KILL_MS);
  const REGION_BLOCKS = 256;
  const CLIENTS = 12;
  let files;
  beforeEach(() => (files = scratch()));
  afterEach(() => files.remove());

  /** Runs a writer in blocks of its own, kills it after a while, and tells what it had sent and what it was answered. */
  async function killedWriter(socket, number, afterMs) {
    const args = [path.join(here, 'nbd-writer.mjs'), socket, number * REGION_BLOCKS, REGION_BLOCKS, number + 1];
    const child = spawn(process.execPath, args.map(String), { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (said += text));
    await once(child.stdout, 'data');
    await sleep(afterMs);
    child.kill('SIGKILL');
    const [code, signal] = await once(child, 'close');
    assert.deepEqual([code, signal], [null, 'SIGKILL'], 'the writer ended by itself');
    return understand(said);
  }

  /** By block: the number of the last answered write, and of the one that was still under way (0 = none). */
  function understand(said) {
    const blocks = new Map();
    const blockOf = new Map();
    for (const line of said.slice(0, said.lastIndexOf('\n')).split('\n')) {
      const [what, number, block] = line.split(' ');
      if (what === 's') {
        blockOf.set(Number(number), Number(block));
        blocks.set(Number(block), { answered: 0, ...blocks.get(Number(block)), sent: Number(number) });
      } else blocks.get(blockOf.get(Number(number))).answered = Number(number);
    }
    return blocks;
  }

  it('what they were answered is there, what was under way is there or not, and everybody else noticed nothing', async function () {
    needs(this, 'fio');
    const image = files.file('image');
    const socket = files.file('s.sock');
    writeFileSync(image, '');
    truncateSync(image, SIZE);
    const server = await serve([{ listen: [socket] }], { store: { type: 'aio', params: { path: image } } });
    // Writes and reads back the upper half, all the time.
    const fio = ['--name=bystander', '--ioengine=nbd', `--uri=nbd+unix:///?socket=${socket}`, '--rw=randwrite'];
    const verify = ['--verify=crc32c', '--bs=4k', '--iodepth=16', `--offset=${SIZE / 2}`, `--size=${SIZE / 2}`];
    const bystander = run('fio', [...fio, ...verify], { env: { HOME: files.dir } });
    const random = createRandom(11);
    const writers = [];
    for (let i = 0; i < CLIENTS; i += 4)
      writers.push(...(await Promise.all([0, 1, 2, 3].map((k) => killedWriter(socket, i + k, random.int(400))))));
    await bystander;
    const report = await server.stop();
    assert.deepEqual([report.left, report.arenaBytes], [0, 0], 'objects and arena blocks were left behind');
    assert.equal(existsSync(socket), false);
    const bytes = readFileSync(image);
    let writes = 0;
    writers.forEach((blocks, number) => {
      for (const [block, { answered, sent }] of blocks) {
        const at = (number * REGION_BLOCKS + block) * BLOCK_BYTES;
        const value = bytes.readUInt32LE(at);
        assert.ok(value === answered || value === sent, `block ${block} holds ${value}, not ${answered} or ${sent}`);
        const whole = Buffer.alloc(BLOCK_BYTES);
        for (let i = 0; i < BLOCK_BYTES; i += 4) whole.writeUInt32LE(value, i);
        assert.equal(Buffer.compare(bytes.subarray(at, at + BLOCK_BYTES), whole), 0, `block ${block} is torn`);
        writes += sent;
      }
    });
    assert.ok(writes > 1000, 'hardly anything was written');
  });
});

describe('kill -9 of the server under load', function () {
  this.timeout(3 * KILL_MS);
  const KILLS = 5;
  const WORKERS = 16;
  let files;
  let child;
  beforeEach(() => (files = scratch()));
  afterEach(() => {
    child?.kill('SIGKILL');
    files.remove();
  });

  /** `mars-stack run` as a person starts it; resolves when its socket takes connections. */
  async function start() {
    const settings = ['--set', `path=${files.file('image')}`, '--set', `listen=${files.file('s.sock')}`];
    child = spawn(process.execPath, [MARS_STACK, 'run', STACK, ...settings, '--json'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, MARS_RUN: files.file('run') },
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text) => (said += text));
    const probe = ['--size', `nbd+unix:///?socket=${files.file('s.sock')}`];
    for (let tries = 0; ; tries++) {
      assert.equal(child.exitCode, null, `the server did not start\n${said}`);
      if ((await run('nbdinfo', probe, { mayFail: true })).code === 0) return;
      assert.ok(tries < 500, `no server came up\n${said}`);
      await sleep(20);
    }
  }

  async function end(signal) {
    const ended = once(child, 'close');
    child.kill(signal);
    return ended;
  }

  const sockets = () =>
    [...readdirSync(files.dir), ...readdirSync(files.file('run'))].filter((name) => name.endsWith('.sock'));

  it('what was answered is there, the next one takes its sockets over, and the last one leaves none', async function () {
    needs(this, 'nbdinfo');
    writeFileSync(files.file('image'), '');
    truncateSync(files.file('image'), SIZE);
    await start();
    const uri = `nbd+unix:///?socket=${files.file('s.sock')}`;
    const params = { uri, connections: 4, retryWrites: true };
    const kit = new BrickKit(NbdClientBrick, params, { makeHost: realHost('auto') });
    await kit.open();
    const expected = Buffer.alloc(SIZE);
    const random = createRandom(5);
    let isOver = false;
    let writes = 0;
    // Each worker has blocks of its own: what overlaps is undefined by contract.
    const worker = async (number) => {
      for (let round = 1; !isOver; round++) {
        const posBytes = (random.int(SIZE / BLOCK_BYTES / WORKERS) * WORKERS + number) * BLOCK_BYTES;
        const data = Buffer.alloc(BLOCK_BYTES, (round * WORKERS + number) & 0xff);
        const flags = round % 50 === 0 ? F_FUA : 0;
        assert.equal((await kit.answerOf({ op: 'write', posBytes, data, flags })).err, 0);
        data.copy(expected, posBytes);
        writes++;
        const answer = await kit.answerOf({ op: 'read', posBytes, lenBytes: BLOCK_BYTES });
        assert.deepEqual([answer.err, Buffer.compare(answer.data, data)], [0, 0]);
      }
    };
    const workers = Array.from({ length: WORKERS }, (_, number) => worker(number));
    try {
      for (let kills = 0; kills < KILLS; kills++) {
        // The client comes back in its own time; killed is what is at work.
        const enough = writes + 200 + random.int(1000);
        while (writes < enough) await sleep(1);
        await end('SIGKILL');
        assert.equal(sockets().length, 2, 'a killed server leaves its sockets behind: NBD and control');
        await start();
      }
    } finally {
      isOver = true;
      await Promise.all(workers);
    }
    const lost = kit.brick.stats.counter('connections_lost').n;
    assert.ok(lost >= KILLS, `${lost} losses`);
    await kit.close();
    assert.deepEqual((await end('SIGTERM'))[0], 0);
    assert.deepEqual(sockets(), []);
    assert.ok(writes > 1000, `only ${writes} writes`);
    assert.equal(Buffer.compare(readFileSync(files.file('image')), expected), 0);
  });
});

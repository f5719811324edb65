import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import native from '../index.cjs';
import { useTempDir } from './kit.mjs';

const EAGAIN = -11;
const EPERM = -1;
const isRoot = process.getuid() === 0 && fs.existsSync('/dev/fuse');

/** Resolves with the next readable moment of a descriptor. */
function readable(fd) {
  return new Promise((resolve) => {
    const watch = native.watchFd(fd, () => {
      watch.close();
      watch.close(); // harmless
      resolve();
    });
  });
}

describe('watchFd', () => {
  it('calls back until the descriptor was read, and not before there is something', async () => {
    const [a, b] = native.socketpair();
    const seen = [];
    const done = new Promise((resolve) => {
      const watch = native.watchFd(a, () => {
        seen.push(seen.length < 2 ? null : fs.readSync(a, Buffer.alloc(10)));
        if (seen.length === 3) resolve(watch.close());
      });
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(seen, []);
    fs.writeSync(b, 'hello');
    await done;
    assert.deepEqual(seen, [null, null, 5]);
    native.closeFd(a);
    native.closeFd(b);
  });

  it('refuses what cannot be waited for', () => {
    const fd = native.openFile(process.execPath, fs.constants.O_RDONLY);
    assert.equal(
      native.watchFd(fd, () => {}),
      EPERM,
    );
    native.closeFd(fd);
    assert.throws(() => native.watchFd(fd, null), TypeError);
  });

  it('does not keep a worker from being terminated', () => {
    const script = `
      const { Worker } = require('node:worker_threads');
      const native = require(${JSON.stringify(path.resolve(import.meta.dirname, '../index.cjs'))});
      const [a] = native.socketpair();
      const w = new Worker("require('node:worker_threads').parentPort.postMessage(typeof require(" +
        ${JSON.stringify(JSON.stringify(path.resolve(import.meta.dirname, '../index.cjs')))} + ").watchFd(" + a + ", () => {}).close)", { eval: true });
      w.on('message', async (text) => { await w.terminate(); console.log(text, 'ended'); });`;
    const { stdout, status, stderr } = spawnSync(process.execPath, ['-e', script], {
      encoding: 'utf8',
      timeout: 15_000,
    });
    assert.equal(stdout, 'function ended\n', stderr);
    assert.equal(status, 0);
  });
});

describe('mountFuse', () => {
  const dir = useTempDir();
  beforeEach(function () {
    if (!isRoot) this.skip(); // needs root and /dev/fuse
  });

  it('mounts, hands out the first message of the kernel, and leaves nothing behind', async () => {
    const at = path.join(dir.path, 'm');
    fs.mkdirSync(at);
    const fd = native.mountFuse(at, 'fuse.marstest', 'marstest', 'rootmode=40700,user_id=0,group_id=0');
    assert.ok(fd >= 0, `${fd}`);
    await readable(fd);
    const message = Buffer.alloc(8192);
    const length = fs.readSync(fd, message);
    assert.equal(message.readUInt32LE(0), length);
    assert.equal(message.readUInt32LE(4), 26, 'FUSE_INIT');
    assert.equal(native.unmountNow(at), 0);
    native.closeFd(fd);
    assert.equal(native.unmountNow(at), -22);
    assert.ok(!fs.readFileSync('/proc/mounts', 'utf8').includes(at));
  });

  it('answers the errno of a mount that is refused, and closes what it had opened', () => {
    const before = fs.readdirSync('/proc/self/fd').length;
    assert.equal(
      native.mountFuse(path.join(dir.path, 'nowhere'), 'fuse.x', 'x', 'rootmode=40700,user_id=0,group_id=0'),
      -2,
    );
    assert.equal(native.mountFuse(dir.path, 'fuse.x', 'x', 'nonsense=1'), -22);
    assert.equal(fs.readdirSync('/proc/self/fd').length, before);
  });
});

describe('receiveFd', () => {
  it('answers ENODATA for a message without a descriptor', () => {
    const [a, b] = native.socketpair();
    fs.writeSync(b, 'x');
    assert.equal(native.receiveFd(a), -61);
    native.closeFd(a);
    native.closeFd(b);
  });
});

describe('lockFile', () => {
  const dir = useTempDir();

  it('excludes other descriptors until the first is closed', () => {
    const file = path.join(dir.path, 'lock');
    const [one, two] = [0, 0].map(() => native.openFile(file, fs.constants.O_RDWR | fs.constants.O_CREAT));
    assert.equal(native.lockFile(one), 0);
    assert.equal(native.lockFile(two), EAGAIN);
    native.closeFd(one);
    assert.equal(native.lockFile(two), 0);
    native.closeFd(two);
  });
});

describe('sendDatagram', () => {
  const dir = useTempDir();

  it('delivers one message to a unix socket', () => {
    const at = path.join(dir.path, 'notify');
    const listen = `import socket,sys; s=socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1]); s.settimeout(10); print(s.recv(100).decode(), flush=True)`;
    const child = spawn('python3', ['-c', listen, at], { stdio: ['ignore', 'pipe', 'inherit'] });
    return new Promise((resolve, reject) => {
      child.on('error', reject);
      let sent = -2;
      const timer = setInterval(() => {
        if (sent !== 0) sent = native.sendDatagram(at, 'READY=1');
      }, 20);
      let heard = '';
      child.stdout.on('data', (text) => {
        heard += text;
        if (!heard.endsWith('\n')) return;
        clearInterval(timer);
        child.on('close', () =>
          heard === 'READY=1\n' ? resolve() : reject(new Error(`heard ${JSON.stringify(heard)}`)),
        );
      });
    });
  });

  it('answers an errno when nobody listens, or the name is too long', () => {
    assert.equal(native.sendDatagram(path.join(dir.path, 'nobody'), 'x'), -2);
    assert.equal(native.sendDatagram(`/${'x'.repeat(200)}`, 'x'), -36);
  });
});

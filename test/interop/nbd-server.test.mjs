// if-nbd against programs that we did not write: libnbd's tools, qemu, fio; and against clients that do not behave.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { KILL_MS, digestOf, makeCertificates, needs, run, scratch, serve, writeImage } from './nbd-tools.mjs';

const MIB = 2 ** 20;
const SIZE = 64 * MIB;

const STORES = {
  ram: () => ({ type: 'ram', params: { size: `${SIZE}` } }),
  aio: (files) => {
    const path = files.file('store.img');
    writeFileSync(path, '');
    truncateSync(path, SIZE);
    return { type: 'aio', params: { path } };
  },
};

for (const [ring, storeName] of [
  ['auto', 'ram'],
  ['auto', 'aio'],
  ['threads', 'ram'],
]) {
  describe(`NBD clients against if-nbd over ${storeName}, ring: ${ring}`, function () {
    this.timeout(3 * KILL_MS);
    let files;
    let server;
    let uri;
    beforeEach(async () => {
      files = scratch();
      const socket = files.file('s.sock');
      uri = `nbd+unix:///?socket=${socket}`;
      const store = STORES[storeName](files);
      server = await serve([{ listen: [socket], description: 'under test' }], { store, options: ['--ring', ring] });
    });
    afterEach(async () => {
      const report = await server.stop();
      assert.deepEqual([report.left, report.arenaBytes], [0, 0], 'objects and arena blocks were left behind');
      assert.ok(!existsSync(files.file('s.sock')), 'the socket is still there');
      files.remove();
    });

    it('nbdinfo sees what the export can do', async function () {
      needs(this, 'nbdinfo');
      const { exports } = JSON.parse((await run('nbdinfo', ['--json', uri])).out);
      const [facts] = exports;
      assert.equal(facts['export-size'], SIZE);
      assert.equal(facts.description, 'under test');
      assert.equal(facts.is_read_only, false);
      for (const can of ['can_flush', 'can_fua', 'can_trim', 'can_zero', 'can_multi_conn', 'can_df', 'can_fast_zero']) {
        assert.equal(facts[can], true, can);
      }
      assert.deepEqual([facts.block_size_minimum, facts.block_size_maximum], [1, 32 * MIB]);
      assert.deepEqual(facts.contexts, ['base:allocation']);
      const list = JSON.parse((await run('nbdinfo', ['--json', '--list', uri])).out);
      assert.equal(list.exports.length, 1);
      for (const can of ['connect', 'flush', 'fua', 'trim', 'zero', 'multi-conn', 'write']) {
        assert.equal((await run('nbdinfo', ['--can', can, uri])).code, 0);
      }
      assert.equal((await run('nbdinfo', ['--is', 'readonly', uri], { mayFail: true })).code, 2);
    });

    it('nbdcopy brings an image in and out again unchanged, and the map knows its holes', async function () {
      needs(this, 'nbdcopy', 'nbdinfo');
      writeImage(files.file('in.img'), 40 * MIB + 512, 'nbdcopy');
      await run('nbdcopy', ['--flush', files.file('in.img'), uri]);
      await run('nbdcopy', [uri, files.file('out.img')]);
      await run('nbdcopy', ['--connections=1', '--synchronous', uri, files.file('sync.img')]);
      assert.equal(digestOf(files.file('out.img'), 40 * MIB + 512), digestOf(files.file('in.img'), 40 * MIB + 512));
      assert.equal(digestOf(files.file('sync.img'), SIZE), digestOf(files.file('out.img'), SIZE));
      const map = JSON.parse((await run('nbdinfo', ['--json', '--map', uri])).out);
      assert.equal(
        map.reduce((sum, extent) => sum + extent.length, 0),
        SIZE,
      );
      assert.ok(map.some((extent) => extent.type === 3) && map.some((extent) => extent.type === 0));
    });

    it('qemu-img converts, compares and maps', async function () {
      needs(this, 'qemu-img');
      writeImage(files.file('in.img'), SIZE, 'qemu-img');
      const { out } = await run('qemu-img', ['info', '--output=json', uri]);
      assert.equal(JSON.parse(out)['virtual-size'], SIZE);
      await run('qemu-img', ['convert', '-n', '-W', '-m', '8', '-O', 'raw', '-f', 'raw', files.file('in.img'), uri]);
      await run('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', files.file('in.img'), uri]);
      await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', uri, files.file('out.qcow2')]);
      await run('qemu-img', ['compare', files.file('out.qcow2'), files.file('in.img')]);
      const map = JSON.parse((await run('qemu-img', ['map', '-f', 'raw', '--output=json', uri])).out);
      assert.ok(map.some((extent) => extent.zero) && map.some((extent) => extent.data));
    });

    it('qemu-io writes and reads odd ranges, with FUA, zeroes, discard and flush', async function () {
      needs(this, 'qemu-io');
      const commands = [
        'write -P 0x11 0 1M',
        'write -P 0x5a 3 70001',
        'read -P 0x5a 3 70001',
        'read -P 0x11 0 3',
        'write -f -P 0x77 2000001 9000000',
        'read -P 0x77 2000001 9000000',
        'write -z 512 40000',
        'read -P 0 512 40000',
        'write -z -u -f 1M 512k',
        'read -P 0 1M 512k',
        'discard 2M 1M',
        'aio_write -P 0x21 12M 3M',
        'aio_write -P 0x22 15M 3M',
        'aio_flush',
        'read -P 0x21 12M 3M',
        'read -P 0x22 15M 3M',
        'flush',
      ];
      // qemu-io says it in words when a pattern is wrong, and exits with 0.
      const { out } = await run('qemu-io', ['-f', 'raw', ...commands.flatMap((c) => ['-c', c]), uri]);
      assert.doesNotMatch(out, /verification failed|error|failed/i);
      const beyond = ['-f', 'raw', '-c', `write ${SIZE - 512} 1024`, uri];
      assert.match((await run('qemu-io', beyond, { mayFail: true })).out, /failed/);
    });

    it('fio reads back what it wrote, in random sizes, 32 requests at a time', async function () {
      needs(this, 'fio');
      const sizes = ['--bsrange=512-1M', '--blockalign=512', `--size=${SIZE / 2}`, '--iodepth=32'];
      const verify = ['--verify=crc32c', '--do_verify=1', '--verify_fatal=1', '--verify_state_save=0'];
      await run('fio', ['--name=v', '--ioengine=nbd', `--uri=${uri}`, '--rw=randwrite', ...sizes, ...verify]);
    });

    it('several fio clients share the export', async function () {
      needs(this, 'fio');
      const jobs = ['--numjobs=4', `--size=${SIZE / 4}`, `--offset_increment=${SIZE / 4}`];
      const load = [
        '--rw=randwrite',
        '--bs=4k',
        '--iodepth=16',
        '--fsync=64',
        '--verify=crc32c',
        '--verify_fatal=1',
        '--verify_state_save=0',
      ];
      await run('fio', ['--name=v', '--ioengine=nbd', `--uri=${uri}`, '--thread', ...jobs, ...load]);
    });

    it('nbdfuse shows the export as a file', async function () {
      needs(this, 'nbdfuse');
      if (!existsSync('/dev/fuse')) this.skip();
      const file = files.file('fuse.img');
      writeFileSync(file, '');
      writeImage(files.file('in.img'), 8 * MIB, 'nbdfuse');
      const copy = `dd if=${files.file('in.img')} of=${file} bs=1M conv=notrunc,fsync && cmp -n ${8 * MIB} ${files.file('in.img')} ${file}`;
      await mountAndRun(this, file, uri, copy);
    });
  });
}

async function mountAndRun(test, file, uri, command) {
  const fuse = spawn('nbdfuse', [file, uri], { stdio: ['ignore', 'ignore', 'pipe'] });
  let err = '';
  fuse.stderr.setEncoding('utf8').on('data', (text) => (err += text));
  const closed = once(fuse, 'close');
  try {
    for (let i = 0; i < 100 && statSync(file).size === 0 && fuse.exitCode === null; i++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    if (fuse.exitCode !== null || statSync(file).size === 0) {
      console.log(`    skipped: nbdfuse cannot mount here: ${err.trim()}`);
      return test.skip();
    }
    await run('sh', ['-c', command]);
  } finally {
    if (fuse.exitCode === null) await run('sh', ['-c', `umount ${file} || fusermount3 -u ${file}`], { mayFail: true });
    const timer = setTimeout(() => fuse.kill('SIGKILL'), 10_000);
    await closed.finally(() => clearTimeout(timer));
  }
}

describe('if-nbd over TCP with TLS', function () {
  this.timeout(2 * KILL_MS);
  let files;
  const tls = () => ({ tlsCert: files.file('server-cert.pem'), tlsKey: files.file('server-key.pem') });
  const withCa = () => ({ ...tls(), tlsCa: files.file('ca-cert.pem'), tlsVerifyPeer: true });
  before(function () {
    needs(this, 'openssl', 'nbdinfo', 'nbdcopy', 'qemu-img');
    files = scratch();
    makeCertificates(files);
  });
  after(() => files?.remove());

  for (const ring of ['auto', 'threads']) {
    it(`qemu and libnbd copy through it with client certificates, ring: ${ring}`, async () => {
      const params = { listen: ['127.0.0.1:0'], tls: 'require', ...withCa() };
      const server = await serve([params], { options: ['--ring', ring] });
      const port = server.addresses[0].split(':')[1];
      const uri = `nbds://localhost:${port}/?tls-certificates=${files.dir}`;
      writeImage(files.file('in.img'), 32 * MIB, 'tls');
      try {
        await run('nbdcopy', ['--flush', files.file('in.img'), uri]);
        const creds = `tls-creds-x509,id=t,endpoint=client,dir=${files.dir}`;
        const image = `driver=nbd,host=localhost,port=${port},tls-creds=t`;
        await run('qemu-img', [
          'convert',
          '--object',
          creds,
          '--image-opts',
          image,
          '-O',
          'raw',
          files.file('out.img'),
        ]);
        assert.equal(digestOf(files.file('out.img'), 32 * MIB), digestOf(files.file('in.img'), 32 * MIB));
        const plain = await run('nbdinfo', [`nbd://localhost:${port}/`], { mayFail: true });
        assert.notEqual(plain.code, 0, 'served in the clear');
      } finally {
        await server.stop();
      }
    });
  }

  it('turns away clients without a certificate, or with one of somebody else', async () => {
    const server = await serve([{ listen: ['127.0.0.1:0'], tls: 'require', ...withCa() }]);
    const port = server.addresses[0].split(':')[1];
    const strangers = scratch();
    try {
      makeCertificates(strangers);
      // The stranger trusts our server, but nobody we know has signed him; and one who shows nothing.
      writeFileSync(strangers.file('ca-cert.pem'), readFileSync(files.file('ca-cert.pem')));
      const anonymous = scratch();
      writeFileSync(anonymous.file('ca-cert.pem'), readFileSync(files.file('ca-cert.pem')));
      for (const { dir } of [strangers, anonymous]) {
        const uri = `nbds://localhost:${port}/?tls-certificates=${dir}`;
        assert.notEqual((await run('nbdinfo', [uri], { mayFail: true })).code, 0);
      }
      anonymous.remove();
      await run('nbdinfo', [`nbds://localhost:${port}/?tls-certificates=${files.dir}`]);
    } finally {
      strangers.remove();
      await server.stop();
    }
  });

  it('is offered to those who ask, and needs nobody when it is only allowed', async () => {
    const server = await serve([{ listen: ['127.0.0.1:0'], tls: 'allow', ...tls() }]);
    const port = server.addresses[0].split(':')[1];
    try {
      const secure = await run('nbdinfo', [`nbds://localhost:${port}/?tls-certificates=${files.dir}`]);
      assert.match(secure.out, /with TLS/);
      assert.match((await run('nbdinfo', [`nbd://localhost:${port}/`])).out, /without TLS/);
    } finally {
      await server.stop();
    }
  });
});

describe('if-nbd and clients that do not behave', function () {
  this.timeout(2 * KILL_MS);
  const AT_ONCE = 25;
  let files;
  let server;
  let socket;
  let servedReads;
  beforeEach(async () => {
    servedReads = null;
    files = scratch();
    socket = files.file('s.sock');
    server = await serve([{ listen: [socket], maxConnections: 100, handshakeTime: '1s' }]);
  });
  afterEach(async () => {
    const report = await server.stop();
    assert.deepEqual([report.left, report.arenaBytes], [0, 0], 'objects and arena blocks were left behind');
    const front = report.stats.find((brick) => brick.type === 'if-nbd');
    if (servedReads !== null) assert.equal(front.stats.counters.reads, servedReads);
    files.remove();
  });

  /** Client flags, and GO without a name. */
  const HELLO = Buffer.from('00000003' + '49484156454f5054' + '00000007' + '00000006' + '000000000000', 'hex');
  const request = (type, offset, length) => {
    const bytes = Buffer.alloc(28);
    bytes.writeUInt32BE(0x25609513, 0);
    bytes.writeUInt16BE(type, 6);
    bytes.writeBigUInt64BE(BigInt(offset), 16);
    bytes.writeUInt32BE(length, 24);
    return bytes;
  };

  async function open() {
    const client = connect(socket);
    client.on('error', () => {}); // resets are what these tests are about
    await once(client, 'connect');
    return client;
  }

  const inBatches = async (count, one) => {
    for (let i = 0; i < count; i += AT_ONCE) await Promise.all([...Array(AT_ONCE).keys()].map((k) => one(i + k)));
  };

  const stillServes = () => run('nbdinfo', ['--size', `nbd+unix:///?socket=${socket}`]);

  it('a thousand come and go in good order', async () => {
    await inBatches(1000, async () => {
      const client = await open();
      client.resume();
      client.end(Buffer.concat([HELLO, request(0, 0, 4096), request(2, 0, 0)]));
      await once(client, 'close');
    });
    await stillServes();
    servedReads = 1000;
  });

  it('a thousand are torn away in the middle of whatever they did', async () => {
    const everything = Buffer.concat([HELLO, request(0, 0, MIB), request(1, 0, MIB), Buffer.alloc(MIB)]);
    await inBatches(1000, async (i) => {
      const client = await open();
      client.write(everything.subarray(0, 1 + ((i * 7919) % (i % 2 ? 200 : everything.length))));
      if (i % 3 === 0) await once(client, 'data');
      client.destroy();
      await once(client, 'close');
    });
    await stillServes();
  });

  it('those who stop in the handshake lose their place, and others get it', async () => {
    const idle = await Promise.all([...Array(100).keys()].map(open));
    const ended = idle.map((client) => once(client.resume(), 'close'));
    await Promise.all(ended);
    await stillServes();
  });

  it('one who sends requests and takes no reply holds up nobody else', async () => {
    const greedy = await open();
    greedy.pause();
    greedy.write(HELLO);
    for (let i = 0; i < 500; i++) greedy.write(request(0, 0, 256 * 1024));
    const { out } = await run('nbdinfo', ['--size', `nbd+unix:///?socket=${socket}`]);
    assert.equal(Number(out), SIZE);
    greedy.destroy();
    await stillServes();
  });

  it('a killed server leaves a socket behind, and the next one takes it over, but never from a live one', async () => {
    await assert.rejects(serve([{ listen: [socket] }]), /in use/);
    await server.kill();
    assert.ok(existsSync(socket));
    server = await serve([{ listen: [socket] }]);
    await stillServes();
  });

  it('what was answered is in the file when the server is killed in the middle of everything', async () => {
    await server.stop();
    const image = files.file('killed.img');
    writeFileSync(image, '');
    truncateSync(image, SIZE);
    server = await serve([{ listen: [socket] }], { store: { type: 'aio', params: { path: image } } });
    const answered = await writeUntilKilled(await open(), () => server.kill());
    assert.ok(answered.length > 100, `only ${answered.length} writes were answered`);
    const bytes = readFileSync(image);
    for (const n of answered)
      assert.ok(
        bytes.subarray(n * BLOCK, (n + 1) * BLOCK).every((byte) => byte === n % 255),
        `block ${n}`,
      );
    server = await serve([{ listen: [socket] }]);
  });

  const BLOCK = 20_000;

  /** Writes block after block, kills in the middle, and tells which were answered without an error. */
  async function writeUntilKilled(client, kill) {
    const total = 3000;
    const answered = [];
    let replies = Buffer.alloc(0);
    let skip = 18 + 20 + 12 + 20 + 14 + 20; // greeting, and the answers to GO
    let killing = null;
    client.on('data', (data) => {
      replies = Buffer.concat([replies, data]);
      if (skip > 0) {
        if (replies.length < skip) return;
        replies = replies.subarray(skip);
        skip = 0;
      }
      for (; replies.length >= 16; replies = replies.subarray(16)) {
        assert.equal(replies.readUInt32BE(0), 0x67446698);
        assert.equal(replies.readUInt32BE(4), 0);
        answered.push(Number(replies.readBigUInt64BE(8)));
      }
      if (answered.length > 500) killing ??= kill();
    });
    const closed = new Promise((resolve) => client.on('close', resolve)); // after an error, too
    client.write(HELLO);
    for (let n = 0; n < total; n++) {
      const head = request(1, n * BLOCK, BLOCK);
      head.writeBigUInt64BE(BigInt(n), 8);
      client.write(Buffer.concat([head, Buffer.alloc(BLOCK, n % 255)]));
    }
    await closed;
    await killing;
    return answered;
  }
});

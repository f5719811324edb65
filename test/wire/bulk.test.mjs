// Bulk over real TLS: payloads that are lent and overwritten as soon as they come back, readers that stop, channels that break.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { HEAD_ROOM_BYTES, createRandom } from '@mars/brick-core';
import { defineStruct, t } from '@mars/wire';
import { Cluster, NOTE, until } from './cluster.kit.mjs';

const BLOCK = defineStruct('test.block', { id: t.int, sum: t.str });
const sumOf = (bytes) => createHash('md5').update(bytes).digest('hex');

describe('bulk over TLS', function () {
  this.timeout(60_000);
  let cluster, a, b, out, into;
  beforeEach(async () => {
    cluster = new Cluster();
    a = await cluster.create('nodea');
    b = await cluster.join('nodeb', a);
    out = await b.connect(a);
    out.start();
    await until(() => a.arrived.length === 1);
    into = a.arrived[0];
  });
  afterEach(() => cluster.close());

  for (const way of ['to the accepting side', 'to the connecting side'])
    it(`arrives unharmed ${way}, whatever happens to the buffers afterwards and however slowly it is read`, async () => {
      if (way === 'to the connecting side') [out, into] = [into, out];
      const random = createRandom(1);
      const got = [];
      let hash = null;
      into.onRaw(BLOCK, {
        begin: ({ id, sum }) => {
          hash = createHash('md5');
          got.push({ id, sum });
        },
        data: (bytes) => hash.update(bytes),
        end: () => {
          assert.equal(hash.digest('hex'), got.at(-1).sum, `block ${got.at(-1).id}`);
          if (got.length % 20 === 0) {
            into.pause();
            setTimeout(() => into.resume(), 5);
          }
        },
      });
      let lent = 0;
      let mayGo = () => {};
      out.onDrain(() => mayGo());
      for (let id = 0; id < 150; id++) {
        const arena = Buffer.alloc(HEAD_ROOM_BYTES + random.int(600_000));
        random.bytes(arena.subarray(0, Math.min(arena.length, 5000)));
        const payload = arena.subarray(HEAD_ROOM_BYTES);
        lent++;
        const done = () => {
          lent--;
          arena.fill(0xff);
        };
        const headRoomBytes = id % 3 === 0 ? 0 : HEAD_ROOM_BYTES;
        if (!out.sendRaw(BLOCK, { id, sum: sumOf(payload) }, payload, { headRoomBytes, done }))
          await new Promise((resolve) => (mayGo = resolve));
      }
      await until(() => got.length === 150);
      assert.deepEqual(
        got.map(({ id }) => id),
        [...Array(150).keys()],
      );
      await until(() => lent === 0);
    });

  it('does not hold up the tree for longer than what is already on its way', async () => {
    const order = [];
    into.onRaw(BLOCK, { begin: ({ id }) => order.push(id), data: () => {}, end: () => {} });
    into.on(NOTE, ({ text }) => order.push(text));
    const payload = Buffer.alloc(1 << 20);
    for (let id = 0; id < 12; id++) out.sendRaw(BLOCK, { id, sum: '' }, payload, { class: 'sync', done: () => {} });
    out.send(NOTE, { text: 'fact' });
    await until(() => order.length === 13);
    assert.ok(order.indexOf('fact') <= 2, `after ${order.indexOf('fact')} of 12 blocks`);
  });

  it('gives every buffer back when the connection breaks', async () => {
    into.onRaw(BLOCK, { begin: () => {}, data: () => {}, end: () => {} });
    into.pause();
    let lent = 0;
    for (let id = 0; id < 14; id++) {
      lent++;
      out.sendRaw(BLOCK, { id, sum: '' }, Buffer.alloc(1 << 20), { done: () => lent-- });
    }
    const end = new Promise((resolve) => out.onClose(resolve));
    assert.ok(lent > 0);
    into.stream.destroy();
    const error = await end;
    assert.equal(error.code, 'SOCKET');
    await until(() => lent === 0);
  });
});

import assert from 'node:assert/strict';
import { EDEADLK, EFBIG, EILSEQ, EIO, EROFS, EXTENT_BYTES, EXTENT_HOLE, EXTENT_ZERO } from '@mars/brick-core';
import { describeExtents } from './extents.js';
import {
  CAN_CACHE,
  CAN_FAST_ZERO,
  CAN_FLUSH,
  CAN_FUA,
  CAN_READ_ONLY,
  CAN_TRIM,
  CAN_WRITE_ZEROES,
  CMD_BLOCK_STATUS,
  CMD_CACHE,
  CMD_FLAG_DF,
  CMD_FLAG_FAST_ZERO,
  CMD_FLAG_FUA,
  CMD_FLAG_NO_HOLE,
  CMD_FLAG_REQ_ONE,
  CMD_FLUSH,
  CMD_READ,
  CMD_TRIM,
  CMD_WRITE,
  CMD_WRITE_ZEROES,
  NBD_EINVAL,
  NBD_EIO,
  NBD_ENOSPC,
  NBD_EOVERFLOW,
  NBD_EPERM,
  errnoOfNbd,
  nbdError,
} from './protocol.js';
import { NbdRequest, verdict, type Permissions } from './transmission.js';
import { request, type RequestText } from '../testing/nbd-talk.test.kit.js';

const SIZE = 2 ** 40;
const ALL = CAN_FLUSH | CAN_FUA | CAN_TRIM | CAN_WRITE_ZEROES | CAN_FAST_ZERO | CAN_CACHE;
const everything: Permissions = {
  sizeBytes: SIZE,
  flags: ALL,
  structured: true,
  hasContext: true,
  chunkBytes: 2 ** 20,
};

function decode(text: RequestText): NbdRequest {
  const bytes = request(text);
  const r = new NbdRequest();
  assert.ok(r.decode(new DataView(bytes.buffer, bytes.byteOffset), 0));
  return r;
}

const judge = (text: RequestText, may: Partial<Permissions> = {}): number =>
  verdict(decode(text), { ...everything, ...may });

describe('NBD requests', () => {
  it('are decoded with every bit of cookie, offset and length', () => {
    const r = decode({ type: 1, flags: 0x8001, cookie: 0xfedcba9876543210n, offset: 2 ** 53 - 1, length: 2 ** 32 - 1 });
    assert.deepEqual([r.type, r.flags, r.offset, r.length], [1, 0x8001, 2 ** 53 - 1, 2 ** 32 - 1]);
    assert.deepEqual([r.cookie0 >>> 0, r.cookie1 >>> 0], [0xfedcba98, 0x76543210]);
  });

  it('are refused as a whole when the magic is wrong', () => {
    const bytes = request({ type: 0 });
    bytes[3]! ^= 1;
    assert.equal(new NbdRequest().decode(new DataView(bytes.buffer, bytes.byteOffset), 0), false);
  });

  it('may touch the last byte and not the one behind it', () => {
    for (const [type, beyond] of [
      [CMD_READ, NBD_EINVAL],
      [CMD_WRITE, NBD_ENOSPC],
      [CMD_TRIM, NBD_ENOSPC],
      [CMD_WRITE_ZEROES, NBD_ENOSPC],
      [CMD_CACHE, NBD_EINVAL],
      [CMD_BLOCK_STATUS, NBD_EINVAL],
    ] as const) {
      assert.equal(judge({ type, offset: SIZE - 1, length: 1 }), 0);
      assert.equal(judge({ type, offset: SIZE, length: 1 }), beyond);
      assert.equal(judge({ type, offset: SIZE - 1, length: 2 }), beyond);
      assert.equal(judge({ type, offset: 2n ** 64n - 1n, length: 1 }), beyond);
    }
  });

  it('never change a read-only export', () => {
    for (const type of [CMD_WRITE, CMD_TRIM, CMD_WRITE_ZEROES]) {
      assert.equal(judge({ type, length: 512 }, { flags: CAN_READ_ONLY }), NBD_EPERM);
    }
    assert.equal(judge({ type: CMD_READ, length: 512 }, { flags: CAN_READ_ONLY }), 0);
  });

  it('are refused when the command was not offered, or does not exist', () => {
    for (const type of [CMD_FLUSH, CMD_TRIM, CMD_WRITE_ZEROES, CMD_CACHE]) {
      assert.equal(judge({ type, length: type === CMD_FLUSH ? 0 : 1 }, { flags: 0 }), NBD_EINVAL);
    }
    assert.equal(judge({ type: CMD_BLOCK_STATUS, length: 1 }, { hasContext: false }), NBD_EINVAL);
    for (const type of [8, 9, 77, 65535]) assert.equal(judge({ type }), NBD_EINVAL);
  });

  it('may carry FUA on every command once it is offered, and no other flag that is not their own', () => {
    const own = new Map([
      [CMD_READ, CMD_FLAG_DF],
      [CMD_WRITE, 0],
      [CMD_FLUSH, 0],
      [CMD_TRIM, 0],
      [CMD_CACHE, 0],
      [CMD_WRITE_ZEROES, CMD_FLAG_NO_HOLE | CMD_FLAG_FAST_ZERO],
      [CMD_BLOCK_STATUS, CMD_FLAG_REQ_ONE],
    ]);
    for (const [type, flags] of own) {
      for (let bit = 0; bit < 16; bit++) {
        const isAllowed = ((flags | CMD_FLAG_FUA) & (1 << bit)) !== 0;
        const length = type === CMD_FLUSH ? 0 : 512;
        assert.equal(judge({ type, flags: 1 << bit, length }), isAllowed ? 0 : NBD_EINVAL, `${type} ${bit}`);
      }
      assert.equal(judge({ type, flags: CMD_FLAG_FUA, length: 0 }, { flags: ALL & ~CAN_FUA }), NBD_EINVAL);
    }
    assert.equal(judge({ type: CMD_READ, flags: CMD_FLAG_DF, length: 1 }, { structured: false }), NBD_EINVAL);
  });

  it('of more than 32 MiB of payload are refused, and an unfragmented READ of more than one chunk', () => {
    assert.equal(judge({ type: CMD_READ, length: 32 * 2 ** 20 }), 0);
    assert.equal(judge({ type: CMD_READ, length: 32 * 2 ** 20 + 1 }), NBD_EINVAL);
    assert.equal(judge({ type: CMD_WRITE, length: 32 * 2 ** 20 + 1 }), NBD_EINVAL);
    assert.equal(judge({ type: CMD_TRIM, length: 2 ** 32 - 1 }), 0);
    assert.equal(judge({ type: CMD_READ, flags: CMD_FLAG_DF, length: 2 ** 20 + 1 }), NBD_EOVERFLOW);
  });

  it('of FLUSH carry no range, of BLOCK_STATUS not an empty one', () => {
    assert.equal(judge({ type: CMD_FLUSH, length: 1 }), NBD_EINVAL);
    assert.equal(judge({ type: CMD_FLUSH, offset: 1 }), NBD_EINVAL);
    assert.equal(judge({ type: CMD_BLOCK_STATUS, length: 0 }), NBD_EINVAL);
  });
});

describe('NBD errors', () => {
  it('are only those that the protocol knows', () => {
    assert.deepEqual([0, -EIO, -EROFS, -EFBIG, -EILSEQ, -EDEADLK].map(nbdError), [
      0,
      NBD_EIO,
      NBD_EPERM,
      NBD_ENOSPC,
      NBD_EIO,
      NBD_EIO,
    ]);
  });

  it('come back as the errno that they were', () => {
    for (const error of [0, 1, 5, 12, 22, 28, 75, 95, 108]) assert.equal(nbdError(errnoOfNbd(error)), error);
    assert.equal(errnoOfNbd(4711), -EIO);
  });
});

describe('extents', () => {
  const view = new DataView(new ArrayBuffer(4096));
  const AT = 64;

  function describeAs(records: [len: number, type: number][], rangeLen: number, max = 1000): [number, number][] {
    let pos = 2 ** 41;
    records.forEach(([len, type], i) => {
      const at = AT + i * EXTENT_BYTES;
      view.setFloat64(at, pos, true);
      view.setFloat64(at + 8, len, true);
      view.setUint32(at + 16, type, true);
      pos += len;
    });
    const bytes = describeExtents(view, AT, records.length * EXTENT_BYTES, rangeLen, max);
    return [...Array(bytes / 8).keys()].map((i) => [view.getUint32(AT + 8 * i), view.getUint32(AT + 8 * i + 4)]);
  }

  it('become descriptors in order, neighbours of the same state as one', () => {
    const both = EXTENT_HOLE | EXTENT_ZERO;
    const told = describeAs([[4096, 0], [4096, 0], [8192, both], [512, EXTENT_ZERO], [512, 0]], 100_000); // prettier-ignore
    assert.deepEqual(told, [[8192, 0], [8192, 3], [512, 2], [512, 0]]); // prettier-ignore
  });

  it('end with the range, and after the first state when one is enough', () => {
    assert.deepEqual(describeAs([[4096, 0], [2 ** 40, 3]], 10_000), [[4096, 0], [5904, 3]]); // prettier-ignore
    assert.deepEqual(describeAs([[4096, 0], [4096, 0], [4096, 3]], 100_000, 1), [[8192, 0]]); // prettier-ignore
  });

  it('that say nothing give nothing', () => {
    assert.deepEqual(describeAs([], 1), []);
    assert.deepEqual(describeAs([[0, 0]], 1), []);
    assert.deepEqual(describeAs([[Number.NaN, 0]], 1), []);
  });
});

import assert from 'node:assert/strict';
import {
  CAP_EXTENTS,
  EXTENT_BYTES,
  EXTENT_ZERO,
  XioInfo,
  type BrickContext,
  type Completer,
  type XioInput,
  type XioObject,
} from '@mars/brick-core';
import { ZeroMap } from './zero-map.js';

const MIB = 1024 * 1024;

/** Enough of a house for one map: questions are kept until the test answers them. */
class Desk {
  readonly asked: { pos: number; buf: number; len: number; err: number }[] = [];
  private readonly view = new DataView(new ArrayBuffer(64 * 1024));
  readonly map: ZeroMap;

  constructor() {
    const cached = Object.assign(new XioInfo(), { size: 16 * MIB, caps: CAP_EXTENTS });
    const input = { cached, io: (o: XioObject) => void this.asked.push(o) } as unknown as XioInput;
    const take = (): unknown => ({ buf: 0, err: 0, push: () => {} });
    const ctx = { pool: { take, free: () => {} }, mem: { view: this.view } } as unknown as BrickContext;
    this.map = new ZeroMap(input, { objects: 0 }, ctx, {} as Completer, 0);
  }

  /** Answers the oldest question with pieces `[mebibytes, isZero]`. */
  answer(...pieces: [number, boolean][]): void {
    const o = this.asked.shift()!;
    let pos = o.pos;
    pieces.forEach(([mebi, isZero], i) => {
      this.view.setFloat64(i * EXTENT_BYTES, pos, true);
      this.view.setFloat64(i * EXTENT_BYTES + 8, mebi * MIB, true);
      this.view.setUint32(i * EXTENT_BYTES + 16, isZero ? EXTENT_ZERO : 0, true);
      pos += mebi * MIB;
    });
    o.len = pieces.length * EXTENT_BYTES;
    this.map.answered(o as unknown as XioObject, MIB);
  }
}

describe('ZeroMap', () => {
  it('tells zeroes from data within what was answered', () => {
    const { map } = new Desk();
    assert.equal(map.look(0, MIB), 'unknown');
    const desk = new Desk();
    assert.equal(desk.map.look(0, MIB), 'unknown');
    desk.answer([1, true], [1, false], [2, true]);
    assert.deepEqual(
      [0, 1, 2, 3].map((m) => desk.map.look(m * MIB, (m + 1) * MIB)),
      ['zero', 'data', 'zero', 'zero'],
    );
  });

  // 2026-11-20: a sync skipped blocks that differed and zeroed others, because the start of the map moved when it asked, not when it was answered.
  it('says nothing about what lies before its records while it asks for that', () => {
    const desk = new Desk();
    desk.map.look(2 * MIB, 3 * MIB);
    desk.answer([2, true]);
    assert.equal(desk.map.look(2 * MIB, 3 * MIB), 'zero');
    assert.equal(desk.map.look(MIB, 2 * MIB), 'unknown');
    assert.equal(desk.map.look(MIB, 2 * MIB), 'unknown');
    desk.answer([1, false], [1, true]);
    assert.equal(desk.map.look(MIB, 2 * MIB), 'data');
  });
});

import assert from 'node:assert/strict';
import { Durability } from './durability.js';

/** One sector, number 700: writes by version, flushes by number. */
class Story {
  readonly durability = new Durability(4);

  acknowledge(version: number, at: number, isFua = false, floor = version): boolean {
    this.durability.sector = 700;
    this.durability.floor = floor;
    this.durability.seq = at;
    return this.durability.acknowledged(1, isFua);
  }
  flush(issued: number): void {
    this.durability.seq = issued;
    this.durability.flushed();
  }
  wipe(version: number, isTrim: boolean): void {
    this.durability.sector = 700;
    this.durability.seq = version;
    this.durability.wiping(1, isTrim);
  }
  allows(version: number): boolean {
    return this.durability.allows(700, 'version', version);
  }
}

describe('Durability', () => {
  it('allows whatever may have been there before, or written since, where nothing is durable', () => {
    const story = new Story();
    story.acknowledge(5, 6);
    assert.ok(story.allows(5));
    assert.ok(story.durability.allows(700, 'zeroes', 0));
    assert.ok(story.durability.allows(700, 'foreign', 0));
    for (const finding of ['unfilled', 'misplaced', 'torn'] as const)
      assert.ok(!story.durability.allows(700, finding, 0));
  });

  it('asks for what was acknowledged before the issue of an answered flush, and allows what came later', () => {
    const story = new Story();
    story.acknowledge(5, 6);
    story.acknowledge(8, 9);
    story.flush(7);
    assert.deepEqual(
      [4, 5, 8].map((v) => story.allows(v)),
      [false, true, true],
    );
    assert.ok(!story.durability.allows(700, 'zeroes', 0));
    story.flush(10);
    assert.deepEqual(
      [5, 8].map((v) => story.allows(v)),
      [false, true],
    );
  });

  it('takes a FUA write for durable at once, and forgets no floor for a lower one', () => {
    const story = new Story();
    story.acknowledge(9, 10, true);
    story.acknowledge(5, 11, true);
    assert.deepEqual(
      [5, 9].map((v) => story.allows(v)),
      [false, true],
    );
  });

  it('allows what was under way beside a durable write', () => {
    const story = new Story();
    story.acknowledge(9, 10, true, 7);
    assert.deepEqual(
      [6, 7, 9].map((v) => story.allows(v)),
      [false, true, true],
    );
  });

  it('allows anything after a durable TRIM, and zeroes after a durable ZERO, until a later write is durable', () => {
    const story = new Story();
    story.acknowledge(3, 4, true);
    story.wipe(5, true);
    story.acknowledge(5, 6, true);
    assert.ok(story.allows(2), 'also what had been replaced durably before');
    assert.ok(story.durability.allows(700, 'foreign', 0));
    story.wipe(7, false);
    story.acknowledge(7, 8, true);
    assert.ok(story.durability.allows(700, 'zeroes', 0));
    assert.ok(!story.allows(5));
    story.acknowledge(9, 10, true);
    assert.ok(!story.durability.allows(700, 'zeroes', 0));
  });

  it('forgets what was not flushed when the power is cut', () => {
    const story = new Story();
    story.acknowledge(5, 6);
    story.durability.cut();
    story.flush(7);
    assert.ok(story.allows(1));
  });

  it('says so when its ring is full, and then promises less, not more', () => {
    const story = new Story();
    for (const version of [1, 2, 3, 4]) assert.ok(story.acknowledge(version, version));
    assert.ok(!story.acknowledge(5, 5));
    story.flush(3);
    assert.deepEqual(
      [1, 2].map((v) => story.allows(v)),
      [false, true],
    );
  });
});

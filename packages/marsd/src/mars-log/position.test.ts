import assert from 'node:assert/strict';
import { stampText } from '@mars/bricks-logger/log-format';
import fc from 'fast-check';
import { isAfter, parseOffset, parseOffsetOrTime, parseTime } from './position.js';

describe('offsets and times of mars-log', () => {
  it('reads offsets as bytes, with or without a unit, and refuses everything else', () => {
    assert.equal(parseOffset('596', '--from'), 596);
    assert.equal(parseOffset('4K', '--from'), 4096);
    for (const text of ['', '-1', '1.5x', 'x', '12x'])
      assert.throws(() => parseOffset(text, '--from'), { code: 'USAGE' });
  });

  it('reads times in UTC, with a zone, and as seconds since 1970', () => {
    const sec = 1477217630;
    assert.deepEqual(parseTime('2016-10-23T10:13:50.123456789'), { sec, nsec: 123456789 });
    assert.deepEqual(parseTime('2016-10-23 10:13:50Z'), { sec, nsec: 0 });
    assert.deepEqual(parseTime('2016-10-23T12:13:50+02:00'), { sec, nsec: 0 });
    assert.deepEqual(parseTime('2016-10-23T05:43:50.5-0430'), { sec, nsec: 500_000_000 });
    assert.deepEqual(parseTime('2016-10-23 10:13'), { sec: sec - 50, nsec: 0 });
    assert.deepEqual(parseTime('1970-01-01'), { sec: 0, nsec: 0 });
    assert.deepEqual(parseTime('@1477217630.5'), { sec, nsec: 500_000_000 });
  });

  it('refuses dates that do not exist', () => {
    for (const text of ['2015-02-29', '2016-13-01', '2016-00-10', '2016-01-01T25:00', '@', '2016-1-1'])
      assert.equal(parseTime(text), null, text);
    assert.throws(() => parseOffsetOrTime('2015-02-29', '--to'), { code: 'USAGE' });
  });

  it('understands every stamp that it prints', () => {
    const second = fc.integer({ min: 0, max: 253402300799 });
    fc.assert(
      fc.property(second, fc.integer({ min: 0, max: 999_999_999 }), (sec, nsec) => {
        assert.deepEqual(parseTime(stampText(sec, nsec)), { sec, nsec });
      }),
    );
  });

  it('compares seconds first, then nanoseconds', () => {
    const moment = { sec: 10, nsec: 5 };
    assert.deepEqual(
      [isAfter(10, 5, moment), isAfter(10, 6, moment), isAfter(11, 0, moment), isAfter(9, 9, moment)],
      [false, true, true, false],
    );
  });
});

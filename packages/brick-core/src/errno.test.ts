import assert from 'node:assert/strict';
import { constants } from 'node:os';
import * as errno from './errno.js';

const { ERRNO_NAMES, errnoByName, errnoName } = errno;
const exported = Object.entries<unknown>(errno).filter(
  (entry): entry is [string, number] => typeof entry[1] === 'number',
);

describe('error numbers', () => {
  it('are in the table of names as they are exported', () => {
    for (const [name, number] of exported) assert.equal(errnoByName(name), number, name);
    assert.deepEqual(
      ERRNO_NAMES.filter((name) => !(name in errno)),
      ['ENOTSUP'],
    );
  });

  it('are what Linux says', function () {
    if (process.platform !== 'linux') this.skip();
    const known = constants.errno as Record<string, number | undefined>;
    const checked = exported.filter(([name]) => known[name] !== undefined);
    assert.ok(checked.length > 50, 'nothing was compared');
    for (const [name, number] of checked) assert.equal(number, known[name], name);
  });

  it('have one name each, whatever their sign', () => {
    for (const [name, number] of exported) {
      assert.equal(errnoName(number), name);
      assert.equal(errnoName(-number), name);
    }
    assert.equal(errnoName(errnoByName('ENOTSUP')!), 'EOPNOTSUPP');
  });

  it('that are unknown keep their number in messages', () => {
    assert.equal(errnoName(-4711), 'errno 4711');
    assert.equal(errnoByName('ENONSENSE'), undefined);
  });
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { VERSION } from '../keys/logs.js';
import { VERSION_VECTORS, readVersionVectors } from '../keys/version-vectors.js';
import { continues, versionValue, zeroVersion } from './version-digest.js';

const page = readFileSync(new URL('../../../../docs/formats/tree.md', import.meta.url), 'utf8');

describe('version links', () => {
  const vectors = readVersionVectors(page);

  it('has all vectors of the specification in docs/formats/tree.md', () => {
    assert.deepEqual(vectors, VERSION_VECTORS);
  });

  for (const { sequence, creator, lengthBytes, predecessor, value } of vectors) {
    it(`computes vector ${sequence},${creator},${lengthBytes} of docs/formats/tree.md byte for byte`, () => {
      assert.equal(versionValue(sequence, creator, lengthBytes, predecessor === '' ? null : predecessor), value);
      assert.equal(VERSION.format(VERSION.parse(value)), value);
    });
  }

  it('has no predecessor for number 1, although a link with number 0 exists', () => {
    const zero = zeroVersion(0, 'nodea');
    assert.equal(zero, '00000000000000000000000000000000,log-000000000-nodea,0:');
    assert.equal(versionValue(1, 'nodea', 5000, zero), VERSION_VECTORS[0]!.value);
  });

  it('builds the two links of create-resource', () => {
    assert.equal(
      zeroVersion(1, 'nodea', zeroVersion(0, 'nodea')),
      '00000000000000000000000000000000,log-000000001-nodea,0:00000000000000000000000000000000,log-000000000-nodea,0',
    );
  });

  it('sees whether a link continues a history', () => {
    const [one, , two, three] = VERSION_VECTORS;
    assert.ok(continues(two!.value, one!.value));
    assert.ok(continues(three!.value, two!.value));
    assert.ok(!continues(three!.value, one!.value));
    assert.ok(!continues('garbage', one!.value));
  });
});

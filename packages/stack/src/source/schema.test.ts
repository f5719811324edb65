import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parseAllDocuments } from 'yaml';
import { OVERLAY_SCHEMA, STACK_SCHEMA } from './schema.js';

describe('The published schemas', () => {
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, strictTypes: false });
  const fitsStack = ajv.compile(STACK_SCHEMA);
  const fitsOverlay = ajv.compile(OVERLAY_SCHEMA);

  it('are found under the names that editors are pointed to', () => {
    const require = createRequire(import.meta.url);
    assert.deepEqual(require('@mars/stack/schema/mars-stack-1.json'), STACK_SCHEMA);
    assert.deepEqual(require('@mars/stack/schema/mars-overlay-1.json'), OVERLAY_SCHEMA);
  });

  it('accept all example stacks of bricks.md 5.12', () => {
    const text = readFileSync(new URL('../../testdata/bricks-5.12.yaml', import.meta.url), 'utf8');
    const docs = parseAllDocuments(text);
    assert.ok(Array.isArray(docs) && docs.length === 7);
    for (const doc of docs)
      assert.ok(fitsStack(doc.toJS()), `${JSON.stringify(doc.toJS())}: ${ajv.errorsText(fitsStack.errors)}`);
  });

  it('describe every key, for the help of editors', () => {
    for (const [name, key] of Object.entries(STACK_SCHEMA.properties!)) assert.ok(key.description, name);
    for (const [name, key] of Object.entries(STACK_SCHEMA.$defs!.brick!.properties!)) assert.ok(key.description, name);
  });

  it('accept one insertion or a list of them', () => {
    const insert = { wire: 'a.b', brick: { type: 'delay' } };
    assert.ok(fitsOverlay({ mars: 1, overlay: 'o', insert }));
    assert.ok(fitsOverlay({ mars: 1, overlay: 'o', insert: [insert, { ...insert, name: 'c' }] }));
    assert.ok(!fitsOverlay({ mars: 1, overlay: 'o', insert: [] }));
    assert.ok(!fitsOverlay({ mars: 1, overlay: 'o', insert: { wire: 'a.b' } }));
  });
});

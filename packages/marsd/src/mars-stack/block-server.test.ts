import assert from 'node:assert/strict';
import { markBlockServer } from './block-server.js';

describe('--block-server', () => {
  it('says which protections this process could not get, and what helps', () => {
    const said: string[] = [];
    markBlockServer(
      (text) => said.push(text),
      () => [
        { mark: 'io-flusher', ok: true },
        { mark: 'memory-lock', ok: false, reason: 'ENOMEM. Set LimitMEMLOCK=infinity.' },
      ],
    );
    assert.deepEqual(said, ['block server: memory-lock could not be set: ENOMEM. Set LimitMEMLOCK=infinity.']);
  });
});

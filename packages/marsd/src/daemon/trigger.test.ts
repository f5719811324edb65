import assert from 'node:assert/strict';
import { isMarsError } from '@mars/brick-core';
import { bitsOfCode, parseTrigger } from './trigger.js';

describe('commands of the trigger', () => {
  it('are numbers with the meaning of symlink-tree.md 2.13', () => {
    assert.deepEqual([0, 1, 2, 3, 7, 8, 9].map(bitsOfCode), [1, 1, 5, 15, 15, 31, 31]);
    assert.deepEqual(parseTrigger('2'), { do: 'trigger', bits: 5 });
    assert.deepEqual(parseTrigger(' 8\n'), { do: 'trigger', bits: 31 });
    assert.deepEqual(parseTrigger('t 18'), { do: 'trigger', bits: 18 });
  });

  it('push and check links at a peer', () => {
    assert.deepEqual(parseTrigger('p nodeb 10.0.0.1 /mars/ips/ip-nodea'), {
      do: 'push',
      peer: 'nodeb',
      ip: null,
      value: '10.0.0.1',
      path: '/mars/ips/ip-nodea',
    });
    assert.deepEqual(parseTrigger('P nodeb 10.0.0.2 10.0.0.1 /mars/ips/ip-nodea\n'), {
      do: 'push',
      peer: 'nodeb',
      ip: '10.0.0.2',
      value: '10.0.0.1',
      path: '/mars/ips/ip-nodea',
    });
    assert.deepEqual(parseTrigger('c nodeb 10.0.0.2 /mars/resource-r/size'), {
      do: 'check',
      peer: 'nodeb',
      ip: '10.0.0.2',
      path: '/mars/resource-r/size',
    });
  });

  it('can be a remark for the log', () => {
    assert.deepEqual(parseTrigger('L hello you'), { do: 'log', text: 'hello you' });
  });

  for (const [text, errno] of [
    ['', 22],
    ['x', 22],
    ['t', 22],
    ['p nodeb 1', 22],
    ['p no.de 1 /mars/uuid', 22],
    ['p nodeb 1 /etc/passwd', 22],
    ['p nodeb 1 /mars/../etc/passwd', 22],
    ['p nodeb /etc/passwd /mars/uuid', 22],
    ['p nodeb 1  /mars/uuid', 22],
    ['pp nodeb 1 /mars/uuid', 22],
    ['P nodeb 1 /mars/uuid', 22],
    ['c nodeb 10.0.0.1 /etc/passwd', 22],
    ['f nodeb 10.0.0.1 /mars/probe-a', 95],
  ] as const) {
    it(`refuse ${JSON.stringify(text)} with errno ${errno}`, () => {
      assert.throws(
        () => parseTrigger(text),
        (e) => isMarsError(e) && e.code === 'BAD_CONTROL' && e.details['errno'] === errno,
      );
    });
  }
});

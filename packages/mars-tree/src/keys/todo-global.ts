import { HOST } from './hosts.js';
import { keyGroup } from './key.js';
import { DIGITS } from './numbers.js';
import { ABSOLUTE_PATH } from './texts.js';

export const TODO_GLOBAL = keyGroup(
  {
    title: 'Requests to all hosts',
    about:
      'The deletion protocol of old trees; of it only `deleted-HOST` is still written, as a tombstone by leave-cluster.',
    source: 'symlink-tree.md 2.4',
  },
  { importance: 'old' },
  [
    {
      path: 'todo-global/systemd-global-trigger',
      codec: HOST,
      importance: 'ignored',
      about: 'Touched to make systemd units on all hosts look.',
      readers: 'marsadm, systemd',
    },
    {
      path: 'todo-global/deleted-{HOST}',
      codec: DIGITS,
      writers: ['marsadm@owner'],
      about: 'Highest deletion request that HOST has handled; leave-cluster deletes it.',
      readers: 'daemons of old trees',
      examples: [
        ['todo-global/deleted-nodea', '000000017'],
        ['todo-global/deleted-nodea', '1'],
      ],
    },
    {
      path: 'todo-global/delete-{NUMBER}-{HOST}',
      codec: ABSOLUTE_PATH,
      writers: ['nobody'],
      about: 'Request to delete a path; its stamp is the time of the request.',
      readers: 'daemon: at a takeover',
      examples: [['todo-global/delete-000000018-nodea', '/mars/resource-mydata/log-000000003-nodea']],
    },
  ],
);

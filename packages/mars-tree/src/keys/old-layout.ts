import { keyGroup } from './key.js';
import { BOOL, INT, STAMP } from './numbers.js';
import { BUILD_TAG, MAJOR_MINOR, MARKER, MESSAGE } from './texts.js';

export const OLD_LAYOUT = keyGroup(
  {
    title: 'Old layout',
    about: 'Releases of 2014 to 2017. Understood at a takeover, never written.',
    source: 'symlink-tree.md 2.12',
  },
  { writers: ['nobody'], importance: 'old', readers: 'daemon: at a takeover' },
  [
    { path: 'alive-{HOST}', codec: BOOL, about: 'Now actual-HOST/alive.', examples: [['alive-nodea', '1']] },
    { path: 'time-{HOST}', codec: STAMP, about: 'Now actual-HOST/time.' },
    { path: 'tree-{HOST}', codec: MAJOR_MINOR, about: 'Now actual-HOST/tree.', examples: [['tree-nodea', '0.1']] },
    { path: 'buildtag-{HOST}', codec: BUILD_TAG, about: 'Now actual-HOST/buildtag.' },
    { path: 'emergency-{HOST}', codec: INT, about: 'Now actual-HOST/emergency.' },
    { path: 'rest-space-{HOST}', codec: INT, about: 'Now actual-HOST/rest-space.' },
    { path: 'actual-{HOST}/msg-connection-from-{PEER}', codec: MESSAGE, about: 'State of a connection.' },
    { path: 'resource-{RES}/actual-{HOST}/device-{PEER}', codec: BOOL, about: 'Now if-on.' },
    { path: 'resource-{RES}/actual-{HOST}/copy-syncstatus-{PEER}', codec: BOOL, about: 'Now is-syncing.' },
    { path: 'resource-{RES}/actual-{HOST}/logfile-update', codec: BOOL, about: 'Now is-copying.' },
    { path: 'resource-{RES}/actual-{HOST}/replay_rate', codec: INT, about: 'Now amount-replay_rate, KiB/s.' },
    { path: 'resource-{RES}/actual-{HOST}/file_rate', codec: INT, about: 'Now amount-file_rate, KiB/s.' },
    { path: 'resource-{RES}/actual-{HOST}/sync_rate', codec: INT, about: 'Now amount-sync_rate, KiB/s.' },
    {
      path: '.deleted-{NAME}',
      codec: MARKER,
      replication: 'local',
      deletion: 'unlink',
      about: 'Marker beside a deleted object at top level: merges that are not newer than its stamp are refused.',
    },
    {
      path: 'resource-{RES}/.deleted-{NAME}',
      codec: MARKER,
      replication: 'local',
      deletion: 'unlink',
      about: 'The same in a resource.',
      examples: [['resource-mydata/.deleted-log-000000003-nodea', '1']],
    },
  ],
);

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { COMMANDS } from '../commands/index.js';
import { renderReference } from './render.js';

const PAGE = fileURLToPath(new URL('../../../../docs/marsadm.md', import.meta.url));

describe('docs/marsadm.md', () => {
  it('is what the table of commands says (MARS_UPDATE_DOCS=1 rewrites it)', () => {
    const wanted = renderReference(COMMANDS);
    if (process.env['MARS_UPDATE_DOCS'] === '1') writeFileSync(PAGE, wanted);
    assert.ok(existsSync(PAGE));
    assert.equal(readFileSync(PAGE, 'utf8'), wanted);
  });

  it('names every command once, with an example that begins with it or ends in it', () => {
    const names = COMMANDS.flatMap(({ name, aliases = [] }) => [name, ...aliases]);
    assert.equal(new Set(names).size, names.length);
    for (const { name, examples } of COMMANDS) {
      assert.ok(
        examples.some((example) => example.includes(name)),
        `${name} has no example`,
      );
    }
  });
});

/** Appendix A of marsadm.md: what scripts may call. */
const OF_THE_ORIGINAL =
  `activate-guest adjust attach cat check-resize connect connect-global connect-local create-cluster create-md
  create-resource create-uuid cron cstate deactivate-guest delete-file delete-resource detach disconnect disconnect-global disconnect-local
  down dstate dump dump-md emergency-limit err-purge-all fake-sync get-connect-pref-list get-emergency-limit get-gi
  get-global-sync-limit-value get-link get-sync-limit-value get-systemd-unit get-systemd-want hidden-commands invalidate invalidate-remote
  join-cluster join-resource leave-cluster leave-resource link-purge-all log-delete log-delete-all log-delete-all-replayed log-delete-one
  log-purge-all log-rotate lowlevel-delete-host lowlevel-ls-host-ips lowlevel-set-host-ip mars-info mars-state merge-cluster
  merge-cluster-check merge-cluster-list new-current-uuid outdate pause-fetch pause-fetch-global pause-fetch-local pause-replay
  pause-replay-global pause-replay-local pause-sync pause-sync-global pause-sync-local primary resize resume-fetch resume-fetch-global
  resume-fetch-local resume-replay resume-replay-global resume-replay-local resume-sync resume-sync-global resume-sync-local role secondary
  set-connect-pref-list set-disabled-digests set-emergency-limit set-global-disabled-log-digests set-global-disabled-net-digests
  set-global-enabled-log-compressions set-global-enabled-net-compressions set-global-sync-limit-value set-link set-replay
  set-sync-limit-value set-systemd-unit set-systemd-want show show-errors show-gi show-info show-state split-cluster state status syncer
  systemd-trigger systemd-trigger-extern up update-cluster verify wait-cluster wait-connect wait-resource wait-umount`
    .trim()
    .split(/\s+/);

describe('the table of commands', () => {
  it('has all 113 commands of the original', () => {
    const names = new Set(COMMANDS.flatMap(({ name, aliases = [] }) => [name, ...aliases]));
    assert.equal(OF_THE_ORIGINAL.length, 113);
    assert.deepEqual(
      OF_THE_ORIGINAL.filter((name) => !names.has(name)),
      [],
    );
  });
});

import type { LamportClock } from '@mars/mars-tree';
import type { SpaceLimit } from './space.js';
import { resourceTunables, type ResourceTunables } from './resource-tunables.js';
import { Tunables, type Tunable } from './tunables.js';

const DAY_S = 86_400;

/** The tunables that a daemon without resources has; others add theirs. Source: symlink-tree.md, section 8 */
export interface HostTunables extends ResourceTunables {
  all: Tunables;
  aliveWindow: Tunable;
  scanInterval: Tunable;
  syncLimit: Tunable;
  remainingSpaceKb: Tunable;
  totalSpaceWantedGb: Tunable;
  emergencyMode: Tunable;
  resetEmergency: Tunable;
  /** The four limits, from 1 to 4. */
  freeSpace: () => [SpaceLimit, SpaceLimit, SpaceLimit, SpaceLimit];
}

export function hostTunables(clock: LamportClock, port: number): HostTunables {
  const all = new Tunables();
  all.add('max_lamport_future', {
    initial: clock.maxFutureSeconds,
    min: DAY_S,
    max: 3650 * DAY_S,
    unit: 's',
    about: 'a stamp this far ahead of real time is corrupt',
    changed: (seconds) => (clock.maxFutureSeconds = seconds),
  });
  all.add('mars_port', {
    initial: port,
    min: 1,
    max: 65_535,
    unit: '',
    about: 'base port; fixed at the start',
    mode: 'ro',
  });
  const freeSpace = [1, 2, 3, 4].map((nr) =>
    all.add(`required_free_space_${nr}_gb`, {
      initial: 2,
      min: 0,
      max: 1 << 20,
      unit: 'GiB',
      about: `free space of /mars below which level ${nr} begins, on top of the higher levels; on a small /mars 1/16 of it unless written`,
    }),
  );
  const limit = (i: number): SpaceLimit => ({ gib: freeSpace[i]!.value, isWritten: freeSpace[i]!.isWritten });
  return {
    all,
    ...resourceTunables(all),
    aliveWindow: all.add('alive_window', {
      initial: 30,
      min: 1,
      max: 86_400,
      unit: 's',
      about: 'a host heard of within this time is alive',
    }),
    scanInterval: all.add('scan_interval_sec', {
      initial: 5,
      min: 1,
      max: 3600,
      unit: 's',
      about: 'longest pause between two rounds',
    }),
    syncLimit: all.add('sync_limit', {
      initial: 0,
      min: 0,
      max: 10_000,
      unit: '',
      about: 'syncs at a time, 0 = no limit; follows the link sync-limit',
    }),
    remainingSpaceKb: all.add('remaining_space_kb', {
      initial: 0,
      min: 0,
      max: 2 ** 53,
      unit: 'KiB',
      about: 'free space of /mars beyond the limits',
      mode: 'ro',
    }),
    totalSpaceWantedGb: all.add('required_total_space_0_gb', {
      initial: 12,
      min: 0,
      max: 1 << 20,
      unit: 'GiB',
      about: 'a /mars that is not larger than the limits by this gives a warning',
    }),
    emergencyMode: all.add('mars_emergency_mode', {
      initial: 0,
      min: 0,
      max: 4,
      unit: '',
      about: 'current level, 0 = none; can be written for tests',
    }),
    resetEmergency: all.add('mars_reset_emergency', {
      initial: 1,
      min: 0,
      max: 1,
      unit: '',
      about: '1 = the level may fall again',
    }),
    freeSpace: () => [limit(0), limit(1), limit(2), limit(3)],
  };
}

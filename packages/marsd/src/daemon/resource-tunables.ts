import type { Tunable, Tunables } from './tunables.js';

/** Tunables of resources. Source: symlink-tree.md, section 8 */
export interface ResourceTunables {
  autoRotateGb: Tunable;
  acceptsDamage: Tunable;
}

export function resourceTunables(all: Tunables): ResourceTunables {
  return {
    autoRotateGb: all.add('logrot_auto_gb', {
      initial: 32,
      min: 0,
      max: 1 << 20,
      unit: 'GiB',
      about: 'a primary begins a new log when the present one has this size; 0 = never',
    }),
    acceptsDamage: all.add('allow_primary_when_damaged', {
      initial: 0,
      min: 0,
      max: 1,
      unit: '',
      about: '1: a forced primary accepts damaged logs at once',
    }),
  };
}

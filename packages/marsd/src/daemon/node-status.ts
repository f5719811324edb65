import {
  BOOL,
  FEATURES,
  INT,
  STAMP,
  effectiveFeatures,
  paths,
  type Features,
  type TreeSnapshot,
} from '@mars/mars-tree';
import { BUILD_TAG_TEXT, FEATURES_OF_THIS_HOST } from './version.js';

/** A link below `actual-ME/`: `always` is written in every round, `lazy` only when it changes. */
export interface StatusLink {
  path: string;
  value: string;
  when: 'always' | 'lazy';
}

export interface NodeFacts {
  me: string;
  nowNs: bigint;
  isStopping: boolean;
  emergencyLevel: number;
  restGib: number;
  totalGib: number;
}

/**
 * What this host says about itself. `time` and `alive` come last: a peer that has them has all the rest.
 * Source: symlink-tree.md 2.2
 */
export function nodeStatus(facts: NodeFacts, tree: TreeSnapshot): StatusLink[] {
  const { me } = facts;
  const lazy = (name: string, value: string): StatusLink => ({ path: paths.node(me, name), value, when: 'lazy' });
  return [
    lazy('tree', '0.1'),
    lazy('features', FEATURES.format(FEATURES_OF_THIS_HOST)),
    lazy('usable', FEATURES.format(usableFeatures(tree, me))),
    lazy('buildtag', BUILD_TAG_TEXT),
    lazy('emergency', INT.format(facts.emergencyLevel)),
    lazy('rest-space', INT.format(facts.restGib)),
    lazy('total-space', INT.format(facts.totalGib)),
    ...['log-digest', 'net-digest', 'log-compression', 'net-compression'].map((what) => lazy(`used-${what}`, '0')),
    { path: paths.node(me, 'time'), value: STAMP.format(facts.nowNs), when: 'always' },
    { path: paths.node(me, 'alive'), value: BOOL.format(!facts.isStopping), when: 'always' },
  ];
}

/** What every host of the cluster can do; hosts that have not told yet are left out. */
export function usableFeatures(tree: TreeSnapshot, me: string): Features {
  let usable: Features = FEATURES_OF_THIS_HOST;
  for (const host of tree.hosts()) {
    const theirs = host === me ? null : tree.read(paths.node(host, 'features'), FEATURES);
    if (theirs === null) continue;
    const { level, strategy, mask } = effectiveFeatures(theirs);
    usable = {
      level: Math.min(usable.level, level),
      strategy: Math.min(usable.strategy, strategy),
      mask: (usable.mask & mask) >>> 0,
    };
  }
  return usable;
}

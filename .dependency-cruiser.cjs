// This table is the architecture. `npm run check:layers` refuses every import that it does not name.
// A row may import what it names, and itself. marsd and sim are composition roots: they may import everything.
const may = (who, whom) => ({
  name: `${who} may import only: ${whom || 'nobody'}`,
  severity: 'error',
  from: { path: `^packages/(${who})/` },
  to: { path: '^(packages|native)/', pathNot: `^packages/($1${whom && '|' + whom})/` },
});

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  options: {
    tsPreCompilationDeps: true,
    // Other packages are seen as what they publish (dist), and not followed further.
    doNotFollow: { path: '(^|/)(node_modules|dist|build)/' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'default'] },
  },
  forbidden: [
    may('brick-core', ''),
    may('wire', 'brick-core'),
    may('mars-tree', 'brick-core|wire'),
    may('bricks-[^/]+', 'brick-core|wire'),
    may('stack', 'brick-core'),
    { ...may('platform', 'brick-core'), to: { path: '^packages/', pathNot: '^packages/(platform|brick-core)/' } },
    may('strategy', 'brick-core|mars-tree|stack'),
    may('marsadm|exporter', 'brick-core|wire|mars-tree|platform'),
    {
      name: 'only platform touches the machine',
      severity: 'error',
      from: { path: '^packages/', pathNot: ['^packages/platform/', '\\.test\\.ts$', '\\.test\\.[a-z]+\\.ts$'] },
      to: {
        dependencyTypes: ['core'],
        path: '^(node:)?(fs|net|tls|dgram|dns|os|timers|perf_hooks|child_process|worker_threads)(/|$)',
      },
    },
    {
      name: 'only platform knows the addon',
      severity: 'error',
      from: { path: '^packages/', pathNot: '^packages/platform/' },
      to: { path: '^native/' },
    },
    {
      name: 'no cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'every import resolves', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
};

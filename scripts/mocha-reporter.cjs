// Dots while it runs, failures and the reasons of skipped tests at the end, the counts as JSON for scripts/test.mjs.
const { writeFileSync } = require('node:fs');
const Mocha = require('mocha');

module.exports = class MarsReporter extends Mocha.reporters.Dot {
  constructor(runner, options) {
    super(runner, options);
    const skipped = new Map();
    runner.on('pending', (test) => {
      const reason = test.skipReason ?? test.parent?.skipReason ?? 'no reason given';
      skipped.set(reason, (skipped.get(reason) ?? 0) + 1);
    });
    runner.once('end', () => {
      for (const [reason, count] of skipped) console.log(`   skipped ${count}: ${reason}`);
      const { passes, failures, pending } = this.stats;
      const file = process.env.MARS_TEST_COUNTS;
      if (file) writeFileSync(file, JSON.stringify({ passed: passes, failed: failures, skipped: pending }));
    });
  }
};

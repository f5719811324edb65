import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ANYTHING, FIRST_EXACT, MATCH, STALE, SectorHistory, UNKNOWN, WILD, WRONG } from './sector-history.js';

/** One request on the only sector of a small world, with everything that ever happened to it. */
interface Event {
  kind: 'write' | 'read';
  issue: number;
  end: number;
  isAcknowledged: boolean;
  /** What a read returned. */
  value: number;
}

const valueOf = (issue: number): number => FIRST_EXACT + issue;

/** The rules of SectorHistory, word by word and without any cleverness, over the whole past. */
class Oracle {
  readonly events: Event[] = [];
  last = 0;

  issue(kind: Event['kind']): Event {
    const event: Event = { kind, issue: ++this.last, end: Infinity, isAcknowledged: false, value: UNKNOWN };
    this.events.push(event);
    return event;
  }

  mayReturn(read: Event, write: Event | null): boolean {
    const issue = write?.issue ?? 0;
    const end = write?.end ?? 0;
    const writes = this.events.filter((e) => e.kind === 'write');
    const isSuperseded = writes.some((w) => w !== write && w.isAcknowledged && end < w.issue && w.end < read.issue);
    return !isSuperseded && !this.isDecidedAgainst(read, issue, writes);
  }

  /** An earlier read met no write and returned something else, and no write began in between. */
  private isDecidedAgainst(read: Event, issue: number, writes: Event[]): boolean {
    return this.events.some((r) => {
      if (r.kind !== 'read' || r === read || r.end === Infinity || r.value === UNKNOWN) return false;
      const before = writes.filter((w) => w.issue < r.issue);
      const metNoWrite =
        before.every((w) => w.end < r.issue) && !writes.some((w) => w.issue > r.issue && w.issue <= r.end);
      const quietSince = Math.max(0, ...before.map((w) => w.end));
      return metNoWrite && read.issue > quietSince && issue < r.issue && valueOf(issue) !== r.value;
    });
  }
}

describe('SectorHistory', () => {
  it('agrees with the rules applied to the whole past, whatever overlaps, fails and answers late', () => {
    const step = fc.record({
      what: fc.constantFrom('write', 'read', 'end', 'end', 'fail'),
      pick: fc.nat(1000),
      choice: fc.nat(1000),
    });
    let judged = 0;
    let refused = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 80, size: 'max' }), (steps) => {
        const history = new SectorHistory(4, 10_000);
        const leaf = history.leaf(0)!;
        const oracle = new Oracle();
        const open: Event[] = [];
        const begin = (kind: Event['kind']): void => {
          const event = oracle.issue(kind);
          open.push(event);
          history.seq = history.floor = event.issue;
          history.value = valueOf(event.issue);
          if (kind === 'write') history.beginWrite(leaf, 7);
          else history.beginRead(leaf, 7);
        };
        const finish = (event: Event, isAcknowledged: boolean, choice: number): void => {
          open.splice(open.indexOf(event), 1);
          history.seq = event.issue;
          history.last = oracle.last;
          history.oldest = Math.min(Infinity, ...open.map((e) => e.issue));
          event.isAcknowledged = isAcknowledged;
          if (event.kind === 'write') history.endWrite(leaf, 7, isAcknowledged);
          else {
            if (isAcknowledged) judgeAll(event, choice);
            history.endRead(leaf, 7);
          }
          event.end = oracle.last;
        };
        const judgeAll = (read: Event, choice: number): void => {
          const writes = oracle.events.filter((e) => e.kind === 'write');
          const allowed = writes.filter((w) => oracle.mayReturn(read, w));
          const isOriginalRight = oracle.mayReturn(read, null);
          for (const w of writes) {
            history.value = valueOf(w.issue);
            const verdict = history.judge(leaf, 7);
            judged++;
            if (isOriginalRight) assert.notEqual(verdict, WRONG);
            else if (allowed.includes(w)) assert.equal(verdict, MATCH, `version ${w.issue} is right`);
            else {
              refused++;
              assert.ok(
                verdict === STALE || verdict === WRONG,
                `version ${w.issue} must be refused, but is ${verdict}`,
              );
            }
          }
          if (allowed.length === 0) return;
          const chosen = allowed[choice % allowed.length]!;
          history.value = read.value = valueOf(chosen.issue);
          if (history.judge(leaf, 7) === MATCH) history.settle(leaf, 7);
          if (isOriginalRight) read.value = UNKNOWN;
        };
        begin('write');
        finish(open[0]!, true, 0);
        for (const { what, pick, choice } of steps) {
          if (what === 'write' || what === 'read') begin(what);
          else if (open.length > 0) finish(open[pick % open.length]!, what === 'end', choice);
        }
        while (open.length > 0) finish(open[0]!, true, 0);
      }),
      { numRuns: 2000 },
    );
    assert.ok(
      judged > 10_000 && refused > 1000,
      `the property looked at ${judged} candidates, ${refused} of them wrong`,
    );
  });

  it('gives every list entry back once nothing is under way and every read has decided', () => {
    const history = new SectorHistory(4, 64);
    const leaf = history.leaf(0)!;
    for (let n = 1; n < 1000; n++) {
      history.seq = history.floor = n;
      history.value = valueOf(n);
      assert.ok(history.hasRoomFor(1));
      history.beginWrite(leaf, n % 512);
      history.last = n;
      history.oldest = Infinity;
      history.endWrite(leaf, n % 512, true);
    }
    assert.ok(history.hasRoomFor(32), 'all 64 entries are free');
  });

  it('bounds its table: leaves beyond the bound are not watched', () => {
    const history = new SectorHistory(2, 64);
    assert.notEqual(history.leaf(0), null);
    assert.notEqual(history.leaf(9), null);
    assert.equal(history.leaf(5), null);
    assert.deepEqual(history.leafNumbers(), [0, 9]);
  });

  it('takes everything for right before the first write, and again after a trim', () => {
    const history = new SectorHistory(2, 64);
    const leaf = history.leaf(0)!;
    history.seq = 1;
    history.value = valueOf(99);
    assert.equal(history.judge(leaf, 0), WILD);
    assert.equal(history.wild, UNKNOWN);
    history.value = ANYTHING;
    history.beginWrite(leaf, 0);
    history.last = 1;
    history.oldest = Infinity;
    history.endWrite(leaf, 0, true);
    history.seq = 2;
    history.value = valueOf(99);
    assert.equal(history.judge(leaf, 0), WILD);
    assert.equal(history.wild, ANYTHING);
  });

  it('forgets sectors in doubt when asked, and frees their entries', () => {
    const history = new SectorHistory(2, 4);
    const leaf = history.leaf(0)!;
    for (const n of [1, 2]) {
      history.seq = history.last = n;
      history.oldest = Infinity;
      history.value = valueOf(n);
      history.beginWrite(leaf, n);
      history.endWrite(leaf, n, false);
    }
    assert.ok(!history.hasRoomFor(1), 'two failed writes leave two sectors in doubt');
    assert.equal(history.forgetDoubtful(), 2);
    assert.ok(history.hasRoomFor(2));
  });
});

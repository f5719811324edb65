import assert from 'node:assert/strict';
import { LOG } from '@mars/mars-tree';
import { describeTranscript } from '../transcript.test.kit.js';
import { localStepText, stopTexts } from './local-log-text.js';
import { nextLocalStep, type LocalLog, type LocalLogFacts, type LocalLogStep, type LogEnd } from './local-log.js';

/** No story needs more steps; more of them would be a circle. */
const MAX_STEPS = 30;

/** A directory of logs that does what it is told. */
class Story {
  readonly facts: LocalLogFacts & { logs: LocalLog[] } = {
    ...{ me: 'a', replay: null, versionBytes: null },
    ...{ logs: [], end: null, force: false },
  };
  private readonly ends = new Map<string, LogEnd>();

  constructor(given: readonly string[]) {
    for (const line of given) this.learn(line);
  }

  /** `log 3 a 8192 good=4180 torn-record`, `replay 3 a 4180+596`, `version 8192`, `force`, `me b` */
  private learn(line: string): void {
    const [word, ...rest] = line.split(' ');
    if (word === 'me') this.facts.me = rest[0]!;
    else if (word === 'force') this.facts.force = true;
    else if (word === 'version') this.facts.versionBytes = Number(rest[0]);
    else if (word === 'replay') this.learnReplay(rest);
    else if (word === 'log') this.learnLog(rest);
    else throw new Error(`what is "${line}"?`);
  }

  private learnReplay([sequence, host, position]: string[]): void {
    const [posBytes, dirtyBytes] = position!.split('+').map(Number);
    this.facts.replay = {
      log: { sequence: Number(sequence), host: host! },
      posBytes: posBytes!,
      dirtyBytes: dirtyBytes!,
    };
  }

  private learnLog([sequence, host, size, good, reason]: string[]): void {
    const log = { sequence: Number(sequence), host: host!, sizeBytes: Number(size) };
    this.facts.logs.push(log);
    const goodEnd = good === undefined ? log.sizeBytes : Number(good.slice('good='.length));
    this.ends.set(LOG.format(log), { goodEnd, reason: reason ?? 'clean', mayCut: reason !== 'damaged' });
  }

  /** Does the step. @returns false when it was the last one */
  play(step: LocalLogStep): boolean {
    const { facts } = this;
    if (step.do === 'stop' || step.do === 'log') return false;
    if (step.do === 'begin' || step.do === 'create') this.create(step.log);
    if (step.do === 'begin' || step.do === 'switch') {
      facts.replay = { log: step.do === 'begin' ? step.log : step.to, posBytes: 0, dirtyBytes: 0 };
      facts.versionBytes = 0;
      facts.end = null;
    }
    if (step.do === 'look') facts.end = this.ends.get(LOG.format(step.log))!;
    if (step.do === 'replay') this.replayed(step.toPos);
    if (step.do === 'cut') this.cut(step.atPos);
    return true;
  }

  private create(log: { sequence: number; host: string }): void {
    if (!this.facts.logs.some((other) => LOG.format(other) === LOG.format(log)))
      this.facts.logs.push({ ...log, sizeBytes: 0 });
  }

  private replayed(posBytes: number): void {
    this.facts.replay = { ...this.facts.replay!, posBytes, dirtyBytes: 0 };
    this.facts.versionBytes = posBytes;
  }

  private cut(atPos: number): void {
    this.facts.logs.find((log) => LOG.format(log) === LOG.format(this.facts.replay!.log))!.sizeBytes = atPos;
    this.facts.end = null;
    this.replayed(atPos);
  }
}

function play(given: readonly string[]): string[] {
  const story = new Story(given);
  const lines: string[] = [];
  for (let i = 0; i < MAX_STEPS; i++) {
    const step = nextLocalStep(story.facts);
    lines.push(localStepText(step));
    if (story.play(step)) continue;
    if (step.do === 'stop') lines.push(`  ${stopTexts(step.reason, step.log).remedy}`);
    return lines;
  }
  throw new Error(`no end: ${lines.join(', ')}`);
}

describe('The next step with the local logs of a primary', () => {
  describeTranscript('local-log', play);

  it('is the same whatever order the logs are listed in', () => {
    const lines = ['log 3 a 0', 'log 1 a 100', 'log 2 a 596', 'replay 1 a 100+0'];
    assert.deepEqual(play(lines), play([...lines].reverse()));
  });
});

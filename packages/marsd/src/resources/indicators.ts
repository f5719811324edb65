import type { Clock } from '@mars/brick-core';
import { formatStamp, INT, MESSAGE_KEYS, paths, type LamportClock, type TreeStore } from '@mars/mars-tree';
import type { Message, ResourceFacts, ResourcePlan } from '@mars/strategy';
import { KEEP_MESSAGE_MS, PERSIST_CODE_MS, REFRESH_MS } from './limits.js';

/** Leds whose stamp tells that the daemon lives. */
const FRESH: ReadonlySet<string> = new Set(['is-primary', 'open-count']);

export interface Shown {
  plan: ResourcePlan;
  facts: ResourceFacts;
  isAttached: boolean;
  codeText: string;
  /** Bytes per second. */
  fetchRate: number;
  syncRate: number;
  messages: readonly Message[];
}

/** The leds and messages of a resource, as links below `actual-ME/`. Source: symlink-tree.md 2.8 */
export class Indicators {
  private refreshedUs = -Infinity;
  /** When a message was last true, and its text with its first stamps. */
  private readonly said = new Map<string, { text: string; line: string; untilUs: number }>();
  private badCodeSinceUs: number | null = null;

  constructor(
    private readonly store: TreeStore,
    private readonly lamport: LamportClock,
    private readonly clock: Clock,
    private readonly resource: string,
  ) {}

  write(shown: Shown): void {
    const { store, resource } = this;
    const isDue = this.clock.nowUs - this.refreshedUs >= REFRESH_MS * 1000;
    if (isDue) this.refreshedUs = this.clock.nowUs;
    store.batch(() => {
      for (const [name, value] of Object.entries(this.leds(shown))) {
        const path = paths.actual(resource, store.me, name);
        if (isDue && FRESH.has(name)) store.write(path, value);
        else store.writeIfChanged(path, value);
      }
      this.writeMessages(shown.messages);
      const { diskBytes } = shown.facts;
      if (shown.isAttached && diskBytes !== null)
        store.writeIfChanged(`resource-${resource}/actsize-${store.me}`, INT.format(diskBytes));
    });
  }

  private leds({ facts, isAttached, codeText, fetchRate, syncRate }: Shown): Record<string, string> {
    const { logger } = facts;
    const isPrimary = logger?.mode === 'logging';
    const bool = (value: boolean): string => (value ? '1' : '0');
    return {
      'is-attached': bool(isAttached),
      'is-primary': bool(isPrimary),
      'if-on': bool(facts.deviceIsOn),
      'open-count': String(facts.openCount),
      'is-replaying': bool(logger?.mode === 'replay'),
      'is-copying': bool(facts.fetch !== null && facts.fetch.phase !== 'waiting' && facts.fetch.phase !== 'finished'),
      'is-syncing': bool(facts.sync !== null),
      'has-emergency': bool(facts.emergencyLevel >= 4),
      'is-emergency': '0',
      'replay-code': this.code(codeText, facts),
      'disk-error': facts.diskError === null ? '0' : '-5',
      'amount-file_rate': String(Math.round(fetchRate / 1024)),
      'amount-sync_rate': String(Math.round(syncRate / 1024)),
    };
  }

  /** Negative codes are published when they have stood for a while, to hide what heals by itself. */
  private code(text: string, { damage, logger }: ResourceFacts): string {
    if (damage === null) {
      this.badCodeSinceUs = null;
      return logger?.mode === 'replay' && !text.startsWith('-') ? text.split(',')[0]! : '1';
    }
    this.badCodeSinceUs ??= this.clock.nowUs;
    const hasStood = this.clock.nowUs - this.badCodeSinceUs >= PERSIST_CODE_MS * 1000 || damage.wasFetchedAgain;
    return hasStood ? String(damage.code) : '0';
  }

  private writeMessages(messages: readonly Message[]): void {
    const { store, resource } = this;
    const texts = new Map<string, string>();
    for (const { key, text } of messages) texts.set(key, texts.has(key) ? `${texts.get(key)!}, ${text}` : text);
    for (const key of new Set([...MESSAGE_KEYS, ...texts.keys()])) {
      const line = this.lineOf(key, texts.get(key));
      store.writeIfChanged(paths.actual(resource, store.me, `msg-${key}`), line);
    }
  }

  private lineOf(key: string, text: string | undefined): string {
    const before = this.said.get(key);
    const nowUs = this.clock.nowUs;
    if (text === undefined) {
      if (before === undefined || nowUs >= before.untilUs) {
        this.said.delete(key);
        return 'OK';
      }
      return before.line;
    }
    const untilUs = nowUs + KEEP_MESSAGE_MS * 1000;
    if (before?.text === text) {
      before.untilUs = untilUs;
      return before.line;
    }
    const clean = text.replace(/[\0\n]/g, ' ').slice(0, 950);
    const line = `${formatStamp(this.lamport.realNs())} ${formatStamp(this.lamport.peek())} ${clean}`;
    this.said.set(key, { text, line, untilUs });
    return line;
  }
}

import { ErrorCode, MarsError, type Loop, type NetAddress } from '@mars/brick-core';
import { addressText } from './address.js';
import type { NbdExport } from './export.js';
import { NbdListener, type ListenerServices, type ListenerSettings } from './listener.js';

interface Entry {
  listener: NbdListener;
  settings: string;
}

/**
 * The listeners of one loop, by address: several if-nbd bricks may share one. Descriptors belong to a ring, so this cannot
 * span more than one loop.
 */
export class NbdListeners {
  private readonly entries = new Map<string, Entry>();
  /** Joins and leaves run one after the other, so that none meets a listener that is half open. */
  private turn: Promise<unknown> = Promise.resolve();

  /**
   * Adds an export to the listener of that address, which is opened by the first one.
   * @param identity TLS files and the like: all bricks of one address must agree on them
   * @throws MarsError SOCKET, BAD_PARAMETER
   */
  join(
    address: NetAddress,
    settings: ListenerSettings,
    identity: string,
    services: ListenerServices,
    item: NbdExport,
  ): Promise<NbdListener> {
    return this.inTurn(async () => {
      const key = addressText(address);
      const agreed = JSON.stringify([settings, identity]);
      let entry = this.entries.get(key);
      if (entry === undefined) {
        const listener = new NbdListener(address, settings, services);
        await listener.open();
        entry = { listener, settings: agreed };
        this.entries.set('port' in address ? listener.boundTo : key, entry);
      } else if (entry.settings !== agreed) throw disagreement(key);
      entry.listener.add(item);
      return entry.listener;
    });
  }

  /** Takes an export away; the last one closes the listener. */
  leave(listener: NbdListener, item: NbdExport): Promise<void> {
    return this.inTurn(async () => {
      listener.remove(item);
      if (!listener.isUnused) return;
      for (const [key, entry] of this.entries) if (entry.listener === listener) this.entries.delete(key);
      await listener.close();
    });
  }

  private inTurn<T>(job: () => Promise<T>): Promise<T> {
    const result = this.turn.then(job);
    this.turn = result.catch(() => {});
    return result;
  }
}

function disagreement(key: string): MarsError {
  return new MarsError(ErrorCode.BAD_PARAMETER, `the bricks that listen on ${key} want it differently`, {
    hint: 'Give all of them the same values for mode, maxConnections, handshakeTime and the tls parameters.',
  });
}

const all = new WeakMap<Loop, NbdListeners>();

export function listenersOf(loop: Loop): NbdListeners {
  let listeners = all.get(loop);
  if (listeners === undefined) all.set(loop, (listeners = new NbdListeners()));
  return listeners;
}

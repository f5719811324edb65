import type { World } from '../world/world.js';
import type { CrashKind } from '../world/life.js';
export class SimNetwork {
  constructor(_world: World) {}
  hostDied(_name: string, _kind: CrashKind): void {}
  hostStarted(_name: string): void {}
  waits(_name: string): string[] {
    return [];
  }
}

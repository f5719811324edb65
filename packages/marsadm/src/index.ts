export { runMarsadm } from './marsadm.js';
export type { World } from './world.js';

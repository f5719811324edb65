export { ControlFiles, type ControlFile, type ControlServer } from './control-files.js';
export { serveControlFiles, type ServeControlOptions } from './serve-control.js';
export {
  clearControlDirectory,
  isDeadMount,
  isMountedOn,
  mountFuse,
  type FuseMount,
  type MountOptions,
} from './mount.js';

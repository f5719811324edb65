export { LockFile, type LockHolder } from './lock-file.js';
export { reportStart, startDetached, type DetachOptions, type DetachResult } from './detach.js';
export { notifyServiceManager } from './service-manager.js';

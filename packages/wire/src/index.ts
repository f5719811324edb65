export {
  defaultsOf,
  defineStruct,
  t,
  type FieldType,
  type Fields,
  type MessageOf,
  type Struct,
} from './struct/struct.js';
export * from './channel/types.js';
export type * from './net/types.js';
export type * from './trust/types.js';
export * from './limits.js';
export type { JoinService, PeerNet, TrustStore, redeemToken } from './api.js';

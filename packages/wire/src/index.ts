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
export { OLDEST_WIRE_VERSION, WIRE_VERSION } from './channel/handshake.js';
export { JOIN, PeerNet } from './net/peer-net.js';
export type * from './net/types.js';
export { admission, isHostName, type AdmissionRules, type Applicant, type Verdict } from './trust/admission.js';
export { JoinService, type JoinServiceOptions } from './trust/join-service.js';
export { isFinalRefusal, redeemToken, type RedeemOptions } from './trust/join-client.js';
export { decodeToken } from './trust/token.js';
export { TrustStore, type TrustStoreOptions } from './trust/trust-store.js';
export type * from './trust/types.js';
export * from './limits.js';

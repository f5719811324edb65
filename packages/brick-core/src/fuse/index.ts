export * from './protocol.js';
export { FuseRequest } from './request.js';
export { FuseAnswer, type FuseAttributes, type FuseOffer } from './answer.js';

'use strict';
// Finds the compiled addon. Importing never throws: a host without it runs on the thread-pool fallback, and `reason` tells why.
const path = require('node:path');
const constants = require('./constants.cjs');

const candidates = [
  process.env.MARS_NATIVE_BINARY, // for sanitizer builds
  path.join(__dirname, 'prebuilds', `${process.platform}-${process.arch}`, 'mars.node'),
  path.join(__dirname, 'build', 'Release', 'mars.node'),
];

let addon = null;
let loadedFrom = '';
const failures = [];
for (const file of candidates) {
  if (!file || addon) continue;
  try {
    addon = require(file);
    loadedFrom = file;
  } catch (err) {
    failures.push(err.code === 'MODULE_NOT_FOUND' ? `${file}: not there` : `${file}: ${err.message}`);
  }
}

const reason = addon ? '' : `@mars/native is not built for this host (npm run build:native): ${failures.join('; ')}`;

function fn(name) {
  if (addon) return addon[name];
  return function unavailable() {
    throw Object.assign(new Error(`${name}: ${reason}`), { code: 'ERR_MARS_NATIVE_UNAVAILABLE' });
  };
}

exports.available = addon !== null;
exports.hasRing = addon !== null && addon.hasRing;
exports.reason = reason;
exports.loadedFrom = loadedFrom;
exports.OP = constants.OP;
exports.HASH = constants.HASH;
exports.FLAG = constants.FLAG;

exports.open = fn('open');
exports.wakeRing = fn('wakeRing');
exports.kernelFeatures = fn('kernelFeatures');

exports.crc32c = fn('crc32c');
exports.crc32cSoftware = fn('crc32cSoftware');
exports.crc32 = fn('crc32');
exports.crc32c8 = (bytes, offset, length, out, outOffset) =>
  digest(constants.HASH.CRC32C8, bytes, offset, length, out, outOffset);
exports.crc32_8 = (bytes, offset, length, out, outOffset) =>
  digest(constants.HASH.CRC32_8, bytes, offset, length, out, outOffset);
exports.xxh3_64 = fn('xxh3_64');
exports.xxh3_128 = (bytes, offset, length, out, outOffset) =>
  digest(constants.HASH.XXH3_128, bytes, offset, length, out, outOffset);
const digest = fn('digest');
exports.digest = digest;

exports.openFile = fn('openFile');
exports.closeFd = fn('closeFd');
exports.dioAlign = fn('dioAlign');
exports.fallocate = fn('fallocate');
exports.punch = fn('punch');
exports.zeroRange = fn('zeroRange');
exports.statfs = fn('statfs');
exports.extents = fn('extents');
exports.blockDeviceInfo = fn('blockDeviceInfo');
exports.blkdiscard = fn('blkdiscard');
exports.blkzeroout = fn('blkzeroout');

exports.lutimesNs = fn('lutimesNs');
exports.lstatNs = fn('lstatNs');
exports.readlinkNs = fn('readlinkNs');

exports.listenUnix = fn('listenUnix');
exports.listenTcp = fn('listenTcp');
exports.streamSocket = fn('streamSocket');
exports.socketAddress = fn('socketAddress');
exports.socketName = fn('socketName');
exports.peerName = fn('peerName');
exports.socketBuffers = fn('socketBuffers');
exports.tcpOptions = fn('tcpOptions');
exports.socketpair = fn('socketpair');

exports.setIoFlusher = fn('setIoFlusher');
exports.lockMemory = fn('lockMemory');
exports.setOomScore = fn('setOomScore');

exports.mountFuse = fn('mountFuse');
exports.unmountNow = fn('unmountNow');
exports.receiveFd = fn('receiveFd');
exports.watchFd = fn('watchFd');

exports.lockFile = fn('lockFile');
exports.sendDatagram = fn('sendDatagram');

// Globals of Node and Mocha for plain JavaScript files.
const names =
  'process console Buffer URL AbortController AbortSignal setTimeout clearTimeout setInterval clearInterval setImmediate ' +
  'performance structuredClone TextEncoder TextDecoder SharedArrayBuffer Atomics globalThis require module exports __dirname ' +
  '__filename describe it before after beforeEach afterEach queueMicrotask gc fetch WebAssembly';
export default Object.fromEntries(names.split(' ').map((name) => [name, 'readonly']));

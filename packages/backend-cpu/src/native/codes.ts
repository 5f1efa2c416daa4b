/** Numbers of the addon's operations (native/interface.d.ts): those of the WebAssembly modules, and some more. */
import { BINARY as SHARED_BINARY, ACTIVATION as SHARED_UNARY } from '../wasm/interface.js';

export { ACTIVATION } from '../wasm/interface.js';
export const BINARY = { ...SHARED_BINARY, max: 4, min: 5, div: 6 } as const;
export const UNARY = {
  ...SHARED_UNARY,
  sigmoid: 6,
  tanh: 7,
  exp: 8,
  step: 9,
  square: 10,
  sqrt: 11,
  rsqrt: 12,
  negate: 13,
} as const;

/** dsconv-simd.wasm: plain SIMD128. */
export * from './exports';
export function isa(): i32 { return 0; }

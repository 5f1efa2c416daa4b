/** dsconv-relaxed.wasm: the same source compiled with relaxed SIMD (ASC_FEATURE_RELAXED_SIMD chooses the tiles). */
export * from './exports';
export function isa(): i32 { return 1; }

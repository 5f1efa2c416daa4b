/** dsconv-relaxed-threads.wasm: the same source compiled with threads (ASC_FEATURE_THREADS), for instances that share a memory. */
export * from './index-relaxed';
export { serve } from './threads';

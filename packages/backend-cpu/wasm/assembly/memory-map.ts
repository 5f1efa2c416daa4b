/**
 * Where the words lie that threads share, and those that each thread has for itself. With threads, every thread runs an instance of the
 * module over one memory: data segments are written again by each instance, so that nothing that changes may lie in them. What changes
 * has fixed addresses below the data (build.mjs leaves `FIRST_BYTES` free), or lies in the thread's own area, whose address the instance
 * is given. Without threads there is one instance, and everything is static.
 */

// @ts-ignore: decorator
@external("env", "area")
declare const area: usize;

/** Bytes of a thread's own area; the caller's is at AREA_OF_CALLER (src/wasm/interface.ts). */
const OWN_BYTES: i32 = 512;

/** The record of the running job, and the plan of the running convolution: written by the caller, read by all. */
export const JOB: usize = ASC_FEATURE_THREADS ? <usize>1536 : memory.data(128, 16);
export const PLAN: usize = ASC_FEATURE_THREADS ? <usize>1792 : memory.data(256, 16);
/** Heads of the free lists. */
export const HEADS: usize = ASC_FEATURE_THREADS ? <usize>2048 : memory.data(128, 16);

// @ts-ignore: decorator
@lazy
const OWN: usize = memory.data(OWN_BYTES, 16);

// @ts-ignore: decorator
@inline function own(): usize { return ASC_FEATURE_THREADS ? area : OWN; }

/** 4 * 8 floats: the tile's sums, row-major. Epilogue and tiles address it. */
// @ts-ignore: decorator
@inline export function accAddress(): usize { return own(); }
/** 4 * 8 int32: sums of a block longer than one 16-bit segment. */
// @ts-ignore: decorator
@inline export function intAddress(): usize { return own() + 128; }
/** 64 bytes: where a block's tail of fewer than 16 values is copied and padded with zeros. */
// @ts-ignore: decorator
@inline export function tailAddress(): usize { return own() + 256; }
/** 16 bytes: a scalar four times. */
// @ts-ignore: decorator
@inline export function fourAddress(): usize { return own() + 320; }
/** One word of a helper's area, not 0 when it shall leave. */
// @ts-ignore: decorator
@inline export function stopAddress(): usize { return own() + 384; }
/** One word: parts that this thread has taken. */
// @ts-ignore: decorator
@inline export function takenAddress(): usize { return own() + 388; }

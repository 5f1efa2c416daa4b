/** Static scratch of the tiles: one tile is in flight at a time, and each call of a kernel runs to its end. */

/** 4 * 8 floats: the tile's sums, row-major. Epilogue and tiles address it as constants. */
export const ACC: usize = memory.data(128, 16);
/** 4 * 8 int32: sums of a block longer than one 16-bit segment. */
export const INT: usize = memory.data(128, 16);

// @ts-ignore: decorator
@inline export function clearAcc(): void {
  const z = i32x4.splat(0);
  v128.store(ACC, z); v128.store(ACC, z, 16); v128.store(ACC, z, 32); v128.store(ACC, z, 48);
  v128.store(ACC, z, 64); v128.store(ACC, z, 80); v128.store(ACC, z, 96); v128.store(ACC, z, 112);
}

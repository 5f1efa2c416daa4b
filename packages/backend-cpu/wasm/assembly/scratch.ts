/** Scratch of the tiles: one tile is in flight at a time in a thread, and each call of a kernel runs to its end. */
import { accAddress } from './memory-map';

// @ts-ignore: decorator
@inline export function clearAcc(): void {
  const acc = accAddress(), z = i32x4.splat(0);
  v128.store(acc, z); v128.store(acc, z, 16); v128.store(acc, z, 32); v128.store(acc, z, 48);
  v128.store(acc, z, 64); v128.store(acc, z, 80); v128.store(acc, z, 96); v128.store(acc, z, 112);
}

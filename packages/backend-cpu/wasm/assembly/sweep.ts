/**
 * All row tiles of a chunk over the panel of one channel tile. Small functions of their own, so that V8 keeps their loop variables in
 * registers.
 */
import { floorOf, isWhole, writeSwept } from './epilogue';
import { clearAcc } from './scratch';
import { tileFloat } from './tile-float';
import { tileI16 } from './tile-i16';
import { tileI8 } from './tile-i8-relaxed';
import { tileStem } from './tile-stem';

/** Where the tiles of this panel go: writeTile's arguments for the next pixel. */
let y: usize = 0, ldy: usize = 0, channels: i32 = 0, cs: usize = 0, bias: usize = 0, residual: usize = 0, alphas: usize = 0;

export function setOutput(toY: usize, stepY: usize, count: i32, scale: usize, toBias: usize, toResidual: usize, toAlphas: usize): void {
  y = toY;
  ldy = stepY;
  channels = count;
  cs = scale;
  bias = toBias;
  residual = toResidual;
  alphas = toAlphas;
}

// @ts-ignore: decorator
@inline function write(left: i32, whole: bool, floor: v128): void {
  writeSwept(y, ldy, left, channels, cs, bias, residual, alphas, whole, floor);
  y += ldy << 2;
  if (residual) residual += ldy << 2;
}

/** count pixels; a, lda: rows; sc, st, sm: tables, scStep (also of sm) and stStep bytes from tile to tile; the rest as tileI8. */
export function sweepI8(
  count: i32, a: usize, lda: usize, sc: usize, scStep: usize, st: usize, stStep: usize, sm: usize, panel: usize, table: usize,
  nseg: i32, ks: usize, kb: usize,
): void {
  const whole = isWhole(channels), floor = floorOf();
  if (nseg == 0) clearAcc();
  for (; count > 0; count -= 4) {
    if (ASC_FEATURE_RELAXED_SIMD) tileI8(a, lda, st, sc, sm, panel, table, nseg, ks, kb);
    write(count, whole, floor);
    a += lda << 2;
    sc += scStep;
    st += stStep;
    if (sm) sm += scStep;
  }
}

/** As sweepI8 for tileI16. */
export function sweepI16(
  count: i32, a: usize, lda: usize, sc: usize, scStep: usize, sm: usize, panel: usize, table: usize, nblocks: i32, ks: usize,
  kb: usize,
): void {
  const whole = isWhole(channels), floor = floorOf();
  if (nblocks == 0) clearAcc();
  for (; count > 0; count -= 4) {
    tileI16(a, lda, sc, sm, panel, table, nblocks, ks, kb);
    write(count, whole, floor);
    a += lda << 2;
    sc += scStep;
    if (sm) sm += scStep;
  }
}

/** nblocks > 0: tileStem (three as there); 0: tileFloat over `depth`. */
export function sweepFloat(
  count: i32, a: usize, lda: usize, panel: usize, table: usize, nblocks: i32, depth: i32, three: bool,
): void {
  const whole = isWhole(channels), floor = floorOf();
  for (; count > 0; count -= 4) {
    if (nblocks) tileStem(a, lda, panel, table, nblocks, three);
    else tileFloat(a, lda, panel, depth);
    write(count, whole, floor);
    a += lda << 2;
  }
}

/** Launches of the kernels that round to block floating point (bfp.cu). */
import type { BfpFormat } from '@dsconv/core';
import { blocksFor, type Launcher } from '../device/launch.js';
import { packBfpGradient, packBfpQuantize, packBfpRound } from '../device/params.js';
import { type ImageLayout, imageLayout } from '../layout/image.js';

const THREADS = 256;

/** Rows of channels and how they are cut into blocks, with the threads that share one. */
function rowsOf({ pixels, channels, groups, blockSize, bits }: ImageLayout) {
  let lanes = 8;
  while (lanes < 32 && lanes * 4 < blockSize) lanes *= 2;
  return { rows: pixels, channels, groups, blockSize, bits, lanes };
}

function gridOf({ pixels, groups, blocks }: ImageLayout, lanes: number): [number] {
  return [blocksFor(pixels * groups * blocks * lanes, THREADS)];
}

/** Rounds float32 rows to an image. */
export function launchQuantize(launcher: Launcher, layout: ImageLayout, x: number, image: number): void {
  const rows = rowsOf(layout);
  launcher.launch({
    kernel: 'bfp_quantize',
    grid: gridOf(layout, rows.lanes),
    threads: THREADS,
    params: packBfpQuantize({ x, mantissas: image, scales: image + layout.scalesAt, ...rows }),
  });
}

/** Rounds `count` rows of channels to a grid, as float32; x and y may be the same. */
export function launchRound(
  launcher: Launcher,
  count: number,
  channels: number,
  format: BfpFormat,
  x: number,
  y: number,
): void {
  const layout = imageLayout(count, channels, format);
  const rows = rowsOf(layout);
  const params = packBfpRound({ x, y, ...rows });
  launcher.launch({ kernel: 'bfp_round', grid: gridOf(layout, rows.lanes), threads: THREADS, params });
}

/** The gradient of that rounding at x: dy where the clamp changes nothing, else 0. */
export function launchRoundGradient(
  launcher: Launcher,
  count: number,
  channels: number,
  format: BfpFormat,
  addresses: { x: number; dy: number; dx: number },
): void {
  const layout = imageLayout(count, channels, format);
  const rows = rowsOf(layout);
  const params = packBfpGradient({ ...addresses, ...rows });
  launcher.launch({ kernel: 'bfp_gradient', grid: gridOf(layout, rows.lanes), threads: THREADS, params });
}

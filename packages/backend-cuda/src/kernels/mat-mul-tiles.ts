/** How float32 products are cut into tiles and launched: of matrices, and of convolutions and their gradients (kernels/gemm_tile.cuh). */
import { blocksFor, type Launcher } from '../device/launch.js';
import { packGemmFinish } from '../device/params.js';
import { epilogueFields, type FloatEpilogue, NO_EPILOGUE, needsOwnPass } from './conv2d-epilogue.js';

/** Tiles of 128 × 128; of 64 × 64; of 64 × 64 for sizes and addresses that are no multiples of four floats; one value per thread. */
export type TileName = 'wide' | 'small' | 'any' | 'naive';

const SIDES = { wide: 128, small: 64, any: 64 } as const;
const THREADS = { wide: 256, small: 128, any: 128, naive: 256 } as const;

/** Depths of a step. */
const STEP = 8;
/** What a block that shares a tile's depth with others has of it at least. */
const LEAST_DEPTH = 64;
const MOST_SPLITS = 256;
/** Blocks of `gemm_finish`; more values than they have threads are taken in turns. */
const FINISH_BLOCKS = 16_384;
const FINISH_THREADS = 256;

/** For tests: overrides what is chosen. */
export interface TilingChoice {
  tile?: TileName;
  splits?: number;
}

export interface Tiling {
  tile: TileName;
  tilesM: number;
  tilesN: number;
  /** Blocks that share the depth of a tile, and the depth of each. */
  splits: number;
  splitDepth: number;
}

/** A product of `[m, depth]` and `[depth, n]`. */
export interface Product {
  /** What its kernels' names begin with. */
  name: 'gemm' | 'conv' | 'conv_input_gradient' | 'conv_filter_gradient';
  m: number;
  n: number;
  depth: number;
  /** Products of this size: of a batch, of groups. */
  count: number;
  /** Whether sizes and addresses are multiples of four floats. */
  vector: boolean;
  /** The result, all products together: address of float32 `[rows, columns]`. */
  y: number;
  rows: number;
  columns: number;
  epilogue?: FloatEpilogue;
  choice?: TilingChoice | undefined;
}

/** Where a product's kernel writes: the result, or the shares of the depth; and the epilogue that it has. */
export interface ProductTarget extends ReturnType<typeof epilogueFields> {
  y: number;
  partial: number;
}

/** Launches a product. `pack` makes its kernel's parameters. */
export function launchProduct(
  launcher: Launcher,
  product: Product,
  pack: (tiling: Tiling, target: ProductTarget) => Uint8Array,
): void {
  const { name, y, rows, columns, epilogue = NO_EPILOGUE } = product;
  if (rows * columns === 0) return;
  const tiling = tilingOf(launcher, product);
  const { tile, tilesM, tilesN, splits } = tiling;
  const launch = (last: FloatEpilogue, partial: number): void =>
    launcher.launch({
      kernel: `${name}_${tile}`,
      grid: [
        tile === 'naive'
          ? blocksFor(rows * columns, THREADS.naive)
          : tilesN * tilesM * product.count * splits,
      ],
      threads: THREADS[tile],
      params: pack(tiling, { y, partial, ...epilogueFields(last) }),
    });
  if (splits > 1) {
    launcher.temporary(splits * rows * columns * Float32Array.BYTES_PER_ELEMENT, (partial) => {
      launch(NO_EPILOGUE, partial);
      launchFinish(launcher, { partial, splits, y, rows, columns, epilogue });
    });
  } else if (tile !== 'naive' && needsOwnPass(epilogue)) {
    launch(NO_EPILOGUE, 0);
    launchFinish(launcher, { partial: y, splits: 1, y, rows, columns, epilogue });
  } else {
    launch(epilogue, 0);
  }
}

/** Adds shares: float32 `[splits, rows, columns]`. With one of them it may lie where the result does. */
export function launchFinish(
  launcher: Launcher,
  call: {
    partial: number;
    splits: number;
    y: number;
    rows: number;
    columns: number;
    epilogue: FloatEpilogue;
  },
): void {
  const { epilogue, ...rest } = call;
  launcher.launch({
    kernel: 'gemm_finish',
    grid: [Math.min(FINISH_BLOCKS, blocksFor(call.rows * call.columns, FINISH_THREADS))],
    threads: FINISH_THREADS,
    params: packGemmFinish({ ...rest, ...epilogueFields(epilogue) }),
  });
}

/** Chooses the tile, and splits the depth where there are too few tiles to keep the device busy. It depends on sizes and the device alone. */
function tilingOf({ device, tier }: Launcher, product: Product): Tiling {
  const { m, n, depth, count, vector, choice } = product;
  const { multiprocessors } = device.info;
  const blocksOf = (side: number): number => Math.ceil(m / side) * Math.ceil(n / side) * count;
  const chosen = (): TileName => {
    if (tier === 'naive') return 'naive';
    if (!vector) return 'any';
    return m > SIDES.small && n > SIDES.small && blocksOf(SIDES.wide) >= multiprocessors ? 'wide' : 'small';
  };
  const tile = choice?.tile ?? chosen();
  if (tile === 'naive') return { tile, tilesM: 1, tilesN: 1, splits: 1, splitDepth: depth };
  const side = SIDES[tile];
  const wanted = choice?.splits ?? splitsFor(blocksOf(side), depth, multiprocessors);
  const splitDepth = Math.max(1, Math.ceil(depth / wanted / STEP)) * STEP;
  return {
    tile,
    tilesM: Math.ceil(m / side),
    tilesN: Math.ceil(n / side),
    splits: Math.max(1, Math.ceil(depth / splitDepth)),
    splitDepth,
  };
}

function splitsFor(blocks: number, depth: number, multiprocessors: number): number {
  if (blocks >= multiprocessors) return 1;
  const most = Math.min(MOST_SPLITS, Math.floor(depth / LEAST_DEPTH));
  return Math.max(1, Math.min(most, Math.floor((2 * multiprocessors) / blocks)));
}

/** Whether all are multiples of four, as the sizes that lie beside each other in memory must be. */
export const inFours = (...sizes: number[]): boolean => sizes.every((size) => size % 4 === 0);

/** Whether addresses are such that four floats are read at once. 0, for what is not there, is. */
export const aligned = (...addresses: (number | null | undefined)[]): boolean =>
  addresses.every((address) => (address ?? 0) % 16 === 0);

/** Whether sizes that the kernels count in 32 bits are small enough. */
export const countable = (...sizes: number[]): boolean => sizes.every((size) => size < 2 ** 31);

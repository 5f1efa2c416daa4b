/** The tiles of dsconv2d on tensor cores, and which of them serves a convolution. */
import type { ConvGeometry } from '@dsconv/core';
import { CHUNK, roundUp } from '../layout/image.js';
import { type Chunks, type ContainerBits, chunksOf, OUTPUTS, STEP_CHUNKS } from '../layout/pack-filter.js';

/** A kernel of dsconv_mma.cu or dsconv_wgmma.cu. */
export interface Tile {
  kernel: string;
  /** Of groups of four warps, for compute capability 9.0 alone. */
  wgmma: boolean;
  /** Pixels and channels of a tile. */
  pixels: number;
  channels: number;
  threads: number;
  /** Chunks of every block of the filters that it serves, or 0 where it serves any. */
  block: 0 | 1 | 2 | 4;
  /** Chunks of a step, and steps in shared memory. */
  chunks: 2 | 4;
  stages: number;
  /** Blocks of threads for which a multiprocessor has registers. */
  resident: number;
  /** Products per time and multiprocessor, where there is enough to do; the largest tile has 1. An estimate from counts of instructions, not measured. */
  rate: number;
}

function tile(
  [pixels, channels]: readonly [number, number],
  block: Tile['block'],
  resident: number,
  rate: number,
  kernel = `dsconv2d_${pixels}x${channels}${block === 0 ? '' : `_b${block * CHUNK}`}`,
): Tile {
  const chunks = block === 4 ? 4 : 2;
  const threads = pixels * channels > 128 * 64 ? 256 : 128;
  const stages = block === 4 ? 3 : 4;
  return { kernel, wgmma: false, pixels, channels, threads, block, chunks, stages, resident, rate };
}

/** The same table as in dsconv_mma.cu. */
export const TILES: readonly Tile[] = [
  tile([128, 128], 2, 1, 1),
  tile([128, 128], 4, 1, 1),
  tile([128, 128], 0, 1, 0.8),
  tile([128, 64], 1, 2, 0.9),
  tile([128, 64], 2, 2, 0.9),
  tile([64, 64], 2, 3, 0.75),
  tile([64, 64], 4, 3, 0.75),
  tile([64, 64], 0, 3, 0.6),
  tile([64, 32], 0, 4, 0.45),
];

function wgmmaTile(channels: 64 | 128, block: 2 | 4, stages: number, resident: number, rate: number): Tile {
  const pixels = 128;
  const kernel = `dsconv2d_wgmma_${pixels}x${channels}_b${block * CHUNK}`;
  return {
    kernel,
    wgmma: true,
    ...{ pixels, channels, threads: 2 * channels, block, chunks: 4, stages, resident, rate },
  };
}

/**
 * The same table as in dsconv_wgmma.cu. Their rates are what counts of instructions say in favour of them, as everywhere here: the time that a block takes is
 * that of its scaling more than that of its products.
 */
export const WGMMA_TILES: readonly Tile[] = [
  wgmmaTile(128, 2, 6, 1, 1.3),
  wgmmaTile(128, 4, 6, 1, 1.3),
  wgmmaTile(64, 2, 4, 2, 1.15),
  wgmmaTile(64, 4, 4, 2, 1.15),
];

/** The tile of blocks whose sums may reach 2^22, and of filters with shifters. */
export const CONVERTING = tile([64, 64], 0, 3, 0.5, 'dsconv2d_converting');
export const SHIFTED = tile([64, 64], 0, 3, 0.5, 'dsconv2d_shifted');

const ALL_TILES = [...WGMMA_TILES, ...TILES];

/** What of a device the choice depends on. */
export interface TileDevice {
  multiprocessors: number;
  /** Bytes that a block of threads may have. */
  sharedMemoryPerBlock: number;
  /** Whether tiles of groups of warps may be chosen. Default false. */
  wgmma?: boolean;
}

/** What of a filter it depends on. */
export interface TileFilter {
  bits: ContainerBits;
  halfScales: boolean;
  shifted: boolean;
  /** |P| as the tensor cores see it, weights in the uppermost bits of bytes, reaches 2^22. */
  converts: boolean;
}

/** A tile, and in how many parts the depth is cut so that all multiprocessors have something to do. */
export interface TileChoice {
  tile: Tile;
  splits: number;
  /** Chunks of a part; a multiple of whole blocks and of whole steps. */
  splitChunks: number;
}

/** Rows that the epilogue finishes at a time: 16 of each of two rows of warps. */
const EPILOGUE_ROWS = 32;

/** Where steps begin that wgmma reads, and where shared memory does at least. */
const STEP_ALIGNMENT = 1024;
const SHARED_ALIGNMENT = 128;

/** Dynamic shared memory of a block, as dsconv_steps.cuh lays it out: steps, and in their place the tile of the epilogue. */
export function sharedBytes(tile: Tile, filter: TileFilter): number {
  const { pixels, channels, chunks, block, stages, wgmma } = tile;
  const slots = block === 0 ? chunks : chunks / block;
  const weights = (channels / OUTPUTS) * 64 * chunks * filter.bits;
  const columns = slots * channels * ((filter.halfScales ? 2 : 4) + (filter.shifted ? 4 : 0));
  const step = pixels * CHUNK * chunks + weights + slots * pixels * (wgmma ? 8 : 4) + columns;
  if (!wgmma) return Math.max(stages * step, EPILOGUE_ROWS * (channels + 8) * 4);
  const ring = stages * roundUp(step, STEP_ALIGNMENT);
  return STEP_ALIGNMENT - SHARED_ALIGNMENT + Math.max(ring, (pixels / 2) * (channels + 4) * 4);
}

/** Whether a tile serves a filter of such chunks. */
export function servesBlocks({ block }: Tile, chunks: Chunks): boolean {
  return block === 0 || (chunks.block === block && chunks.group % block === 0);
}

/** The largest |P| in units of the accumulators: weights are the uppermost bits of bytes, mantissas at most 2^(bits-1) - 1. */
export function convertsSums(blockSize: number, activationBits: number): boolean {
  return blockSize * 128 * (2 ** (activationBits - 1) - 1) >= 2 ** 22;
}

/** Chunks after which a part of the depth may end: at the end of a block and of a step. */
function splitUnit({ block, group }: Chunks): number {
  const unit = group % block === 0 ? block : group;
  return unit % STEP_CHUNKS === 0 ? unit : unit * STEP_CHUNKS;
}

const SPLITS = [1, 2, 3, 4, 6, 8, 12, 16];

/** What writing and adding up one part of an output costs, in products. */
const SPLIT_COST = 64;

/** The tile that is expected to be through first. Pure, and the same for equal arguments. */
export function chooseTile(
  geometry: ConvGeometry,
  blockSize: number,
  filter: TileFilter,
  device: TileDevice,
): TileChoice {
  const { batch, outHeight, outWidth, outChannels, kernelHeight, kernelWidth, inChannels, groups } = geometry;
  const taps = kernelHeight * kernelWidth;
  const depth = inChannels / groups;
  const chunks = chunksOf(taps, depth, blockSize);
  const total = taps * chunks.group;
  const pixels = batch * outHeight * outWidth;
  const unit = splitUnit(chunks);
  const tiles = filter.shifted
    ? [SHIFTED]
    : filter.converts
      ? [CONVERTING]
      : device.wgmma
        ? ALL_TILES
        : TILES;
  let best: TileChoice | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const tile of tiles) {
    if (!servesBlocks(tile, chunks) || sharedBytes(tile, filter) > device.sharedMemoryPerBlock) continue;
    const blocks = Math.ceil(pixels / tile.pixels) * groups * Math.ceil(outChannels / groups / tile.channels);
    for (const wanted of SPLITS) {
      const splitChunks = Math.max(1, Math.ceil(total / unit / wanted)) * unit;
      const splits = Math.ceil(total / splitChunks);
      if (splits !== wanted) continue;
      const time = timeOf(tile, blocks * splits, splitChunks, device.multiprocessors);
      const adding =
        splits === 1 ? 0 : (SPLIT_COST * pixels * outChannels * (splits + 1)) / device.multiprocessors;
      if (time + adding < least) {
        least = time + adding;
        best = { tile, splits, splitChunks };
      }
    }
  }
  if (best === null)
    throw new RangeError(`no tile fits ${device.sharedMemoryPerBlock} bytes of shared memory`);
  return best;
}

/** Products that a multiprocessor must do one after the other, in those of the largest tile. */
function timeOf(tile: Tile, blocks: number, chunks: number, multiprocessors: number): number {
  const perMultiprocessor = Math.ceil(blocks / multiprocessors);
  const together = Math.min(tile.resident, perMultiprocessor);
  // Two warps per scheduler hide what one waits for; fewer leave gaps.
  const busy = Math.min(1, (together * tile.threads) / 256);
  // The ring is filled and the epilogue written once per tile.
  const products = tile.pixels * tile.channels * (chunks * CHUNK + 192);
  return (perMultiprocessor * products) / (tile.rate * (0.4 + 0.6 * busy));
}

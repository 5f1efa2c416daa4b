/** Kernels whose blocks of threads compute rectangles of pixels: first layers (dsconv_direct.cu) and depthwise convolutions (ds_depthwise.cu). */
import type { ConvGeometry } from '@dsconv/core';
import type { ImageLayout } from '../layout/image.js';
import type { PackedDeviceFilter } from './filters.js';
import type { TileDevice } from './tiles.js';

/** A kernel and the rectangles that it computes. */
export interface WindowChoice {
  kernel: string;
  threads: number;
  sharedBytes: number;
  /** Channels of a block of threads. */
  columns: number;
  tileHeight: number;
  tileWidth: number;
  tilesAcross: number;
  tilesDown: number;
}

/** Shared memory of a block with which a multiprocessor still holds several on every device. */
const COMFORTABLE = 40 * 1024;

/** Places of the input that a rectangle reads, as dsconv_window.cuh has them. */
function placesOf(g: ConvGeometry, height: number, width: number): number {
  const down = (height - 1) * g.strideHeight + (g.kernelHeight - 1) * g.dilationHeight + 1;
  const across = (width - 1) * g.strideWidth + (g.kernelWidth - 1) * g.dilationWidth + 1;
  return down * across;
}

function tilesOf(g: ConvGeometry, tileHeight: number, tileWidth: number) {
  return {
    tileHeight,
    tileWidth,
    tilesAcross: Math.ceil(g.outWidth / tileWidth),
    tilesDown: Math.ceil(g.outHeight / tileHeight),
  };
}

const roundUp4 = (count: number): number => Math.ceil(count / 4) * 4;

/** The kernel of few input channels, or null where its rectangle does not fit the shared memory. The filter lies in rows. */
export function chooseDirect(
  g: ConvGeometry,
  filter: PackedDeviceFilter,
  image: ImageLayout,
  device: TileDevice,
): WindowChoice | null {
  if (filter.shifts !== 0) return null;
  const columns = g.outChannels > 32 ? 64 : 32;
  const [height, width] = columns === 64 ? [8, 8] : [8, 16];
  const values = roundUp4(placesOf(g, height, width) * g.inChannels);
  const rowOfTaps = g.kernelWidth * columns * (g.inChannels + image.blocks);
  const sharedBytes = 4 * Math.max(values + rowOfTaps, height * width * (columns + 4));
  if (sharedBytes > device.sharedMemoryPerBlock) return null;
  return {
    kernel: `dsconv2d_direct_${columns}`,
    threads: 128,
    sharedBytes,
    columns,
    ...tilesOf(g, height, width),
  };
}

/** From the largest rectangle to the smallest. */
const RECTANGLES: readonly (readonly [number, number])[] = [
  [8, 16],
  [8, 8],
  [4, 8],
  [4, 4],
  [2, 4],
];

/** The depthwise kernel, or null where it does not serve: several outputs per channel, windows too large, blocks that end within four channels. */
export function chooseDepthwise(
  g: ConvGeometry,
  multiplier: number,
  image: ImageLayout,
  device: TileDevice,
): WindowChoice | null {
  if (multiplier !== 1 || (image.blocks > 1 && image.blockSize % 4 !== 0)) return null;
  const columns = g.outChannels > 32 ? 64 : 32;
  const quads = columns / 4;
  const fitting: WindowChoice[] = [];
  for (const [height, width] of RECTANGLES) {
    const threads = Math.min(256, (quads * height * width) / 4);
    const sharedBytes = 4 * columns * (g.kernelHeight * g.kernelWidth + placesOf(g, height, width));
    if (threads < 32 || sharedBytes > device.sharedMemoryPerBlock) continue;
    const tiles = tilesOf(g, height, width);
    fitting.push({ kernel: `ds_depthwise_${columns}`, threads, sharedBytes, columns, ...tiles });
  }
  const slabs = Math.ceil(g.outChannels / columns);
  const fillsDevice = ({ tilesAcross, tilesDown }: WindowChoice) =>
    g.batch * tilesAcross * tilesDown * slabs >= 2 * device.multiprocessors;
  const comfortable = fitting.filter(({ sharedBytes }) => sharedBytes <= COMFORTABLE);
  return comfortable.find(fillsDevice) ?? comfortable.at(-1) ?? fitting.at(-1) ?? null;
}

/** Whether the depthwise kernel can round float32 itself: its threads hold whole blocks then. */
export function depthwiseRoundsInput({ channels, blockSize, blocks }: ImageLayout, columns: number): boolean {
  if (blocks === 1) return channels <= columns;
  return (blockSize & (blockSize - 1)) === 0 && blockSize >= 4 && blockSize <= columns;
}

/** From a resolved convolution to launches: for eager kernels and plans alike. */
import type { ConvGeometry } from '@dsconv/core';
import { blocksFor, type Launcher } from '../device/launch.js';
import { type DsconvParams, packDsconv } from '../device/params.js';
import { formatOf, type ImageLayout, imageLayout } from '../layout/image.js';
import { type ConvolutionCall, type ConvolutionOperands, outputPixels, paramsOf } from './call.js';
import { roundsInTile } from './epilogue.js';
import {
  chooseKernel,
  FINISH,
  finishingColumns,
  type KernelChoice,
  type KernelTarget,
  roundsInput,
} from './kernel-choice.js';
import { launchQuantize, launchRound } from './round.js';

export type { ConvolutionCall, ConvolutionOperands } from './call.js';
export { type Epilogue, readsAsResidual } from './epilogue.js';

const PLAIN_THREADS = 128;

/** The image that a convolution reads. */
export function inputImage(
  geometry: ConvGeometry,
  format: { bits: number; blockSize: number },
  depthwise: boolean,
): ImageLayout {
  const { batch, inHeight, inWidth, inChannels, groups } = geometry;
  return imageLayout(batch * inHeight * inWidth, inChannels, { ...format, groups: depthwise ? 1 : groups });
}

export function targetOf({ tier, device }: Launcher): KernelTarget {
  return { tier, device: { ...device.info, wgmma: device.wgmma } };
}

/**
 * Launches a convolution with everything its epilogue asks for. What the kernel cannot do itself (rounding the input, rounding the result, writing an image)
 * follows in launches of its own, with scratch.
 *
 * @param choice the kernel; tests pass others than the one that is chosen
 */
export function launchConvolution(
  launcher: Launcher,
  call: ConvolutionCall,
  operands: ConvolutionOperands,
  choice: KernelChoice = chooseKernel(targetOf(launcher), call),
): void {
  const { image, readsImage } = call;
  if (image !== null && !readsImage && !roundsInput(call, choice)) {
    launcher.temporary(image.byteLength, (input) => {
      launchQuantize(launcher, image, operands.input, input);
      launchConvolution(launcher, { ...call, readsImage: true }, { ...operands, input }, choice);
    });
    return;
  }
  if (finishesItself(call, choice)) launchChosen(launcher, call, operands, choice);
  else launchAndRound(launcher, call, operands, choice);
}

function finishesItself({ epilogue, geometry, depthwise }: ConvolutionCall, choice: KernelChoice): boolean {
  const { round, image } = epilogue;
  return round === null || roundsInTile(round, geometry, finishingColumns(choice), depthwise, image !== null);
}

/** Rounds the float32 result afterwards, in place, and makes the image of it. */
function launchAndRound(
  launcher: Launcher,
  call: ConvolutionCall,
  operands: ConvolutionOperands,
  choice: KernelChoice,
): void {
  const { geometry: g, epilogue } = call;
  const { round, image, writesFloat } = epilogue;
  const plain = { ...call, epilogue: { ...epilogue, round: null, image: null, writesFloat: true } };
  const pixels = outputPixels(g);
  const all = (result: number): void => {
    launchChosen(launcher, plain, { ...operands, result }, choice);
    if (image) launchQuantize(launcher, image, result, operands.image);
    if (writesFloat && round) launchRound(launcher, pixels, g.outChannels, round, result, result);
  };
  if (writesFloat) all(operands.result);
  else launcher.temporary(4 * pixels * g.outChannels, all);
}

function launchChosen(
  launcher: Launcher,
  call: ConvolutionCall,
  operands: ConvolutionOperands,
  choice: KernelChoice,
): void {
  const params = paramsOf(call, operands);
  if (choice.kind === 'plain') {
    launcher.launch({
      kernel: choice.kernel,
      grid: [blocksFor(params.pixels * params.outChannels, PLAIN_THREADS)],
      threads: PLAIN_THREADS,
      params: packDsconv(params),
    });
  } else if (choice.kind === 'window') {
    launchWindows(launcher, call, params, choice);
  } else {
    launchTiles(launcher, params, choice);
  }
}

function launchWindows(
  launcher: Launcher,
  { geometry: { batch, outChannels } }: ConvolutionCall,
  params: DsconvParams,
  { kernel, threads, sharedBytes, columns, ...tiles }: KernelChoice & { kind: 'window' },
): void {
  const { tileHeight, tileWidth, tilesAcross, tilesDown } = tiles;
  launcher.launch({
    kernel,
    grid: [batch * tilesDown * tilesAcross, Math.ceil(outChannels / columns)],
    threads,
    sharedBytes,
    params: packDsconv({ ...params, tileHeight, tileWidth, tilesAcross, tilesDown }),
  });
}

function launchTiles(
  launcher: Launcher,
  params: DsconvParams,
  { tile, splits, splitChunks, sharedBytes }: KernelChoice & { kind: 'mma' },
): void {
  const { pixels, groups, groupOutputs, paddedOutputs } = params;
  const launch = (partial: number): void =>
    launcher.launch({
      kernel: tile.kernel,
      grid: [Math.ceil(pixels / tile.pixels), groups * Math.ceil(groupOutputs / tile.channels), splits],
      threads: tile.threads,
      sharedBytes,
      params: packDsconv({ ...params, partial, splits, splitChunks }),
    });
  if (splits === 1) {
    launch(0);
    return;
  }
  launcher.temporary(4 * splits * pixels * groups * paddedOutputs, (partial) => {
    launch(partial);
    launcher.launch({
      kernel: FINISH.kernel,
      grid: [Math.ceil(pixels / FINISH.pixels), groups * Math.ceil(groupOutputs / FINISH.channels)],
      threads: FINISH.threads,
      params: packDsconv({ ...params, partial, splits, splitChunks }),
    });
  });
}

/** The grid of an image, as an epilogue rounds to it. */
export { formatOf, launchQuantize, launchRound };

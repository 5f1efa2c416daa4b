/**
 * Known answers, computed on the device itself when a backend is created, by every kernel of DSConv that may be chosen. Kernels that are wrong look normal, so
 * a tier that fails is not used, and an operator whose shared kernels fail is switched off with the reason.
 */
import { DS_DEPTHWISE_CONV2D, DSCONV2D } from '@dsconv/core';
import type { CudaBackend } from './backend.js';
import type { CudaTier, Launcher } from './device/launch.js';
import { type ConvolutionCall, inputImage, launchConvolution, targetOf } from './dsconv/convolution.js';
import { type DeviceFilter, freeFilter, uploadFilter } from './dsconv/filters.js';
import { chooseKernel, type KernelChoice } from './dsconv/kernel-choice.js';
import { CONVERTING, sharedBytes } from './dsconv/tiles.js';
import { CHUNK } from './layout/image.js';
import { chunksOf, STEP_CHUNKS } from './layout/pack-filter.js';
import {
  answerOf,
  filterOf,
  geometryOf,
  integers,
  type KnownCase,
  SHARED_CASES,
  TIER_CASES,
  WGMMA_CASES,
} from './self-test-cases.js';

/**
 * Makes `tier` the backend's if its kernels give the known answers.
 *
 * @returns null, or why the tier cannot be used
 */
export async function tryTier(backend: CudaBackend, tier: CudaTier): Promise<string | null> {
  backend.tier = tier;
  for (const known of TIER_CASES) {
    const failure = await failureOf(backend, known);
    if (failure !== null) return failure;
  }
  return null;
}

/** What backends say of wgmma where they do not use it and could. */
export const WGMMA = 'wgmma';

/**
 * Lets tiles of wgmma be chosen where the device has it, nobody has switched it off (`DSCONV_CUDA_WGMMA=0`) and every one of them gives its known answers: else the
 * reason is noted. They are compiled for compute capability 9.0 alone. The device may be lost afterwards, to a kernel that is wrong.
 */
export async function testWgmma(backend: CudaBackend): Promise<void> {
  const { device } = backend;
  device.wgmma = false;
  backend.disabled.delete(WGMMA);
  if (backend.tier !== 'mma' || device.info.computeCapability.join('.') !== '9.0') return;
  if (process.env.DSCONV_CUDA_WGMMA === '0') {
    backend.disabled.set(WGMMA, 'wgmma is switched off by DSCONV_CUDA_WGMMA=0');
    return;
  }
  for (const known of WGMMA_CASES) {
    const failure = await failureOf(backend, known);
    if (failure === null) continue;
    backend.disabled.set(WGMMA, `wgmma is not used: ${failure}`);
    return;
  }
  device.wgmma = true;
}

/** Switches off operators whose kernels for float activations do not give the known answers. */
export async function testShared(backend: CudaBackend): Promise<void> {
  for (const known of SHARED_CASES) {
    const name = known.kind === 'depthwise' ? DS_DEPTHWISE_CONV2D : DSCONV2D;
    if (backend.disabled.has(name)) continue;
    const failure = await failureOf(backend, known);
    if (failure !== null) backend.disabled.set(name, failure);
  }
}

/** The kernels that the cases reach in a tier, for the test that none is forgotten. */
export function kernelsReached(backend: CudaBackend): Set<string> {
  const names = new Set<string>();
  for (const known of [...TIER_CASES, ...WGMMA_CASES, ...SHARED_CASES]) {
    const filter = filterOf(known);
    const packed = uploadFilter(backend, filter, 1, known.float ? null : 8);
    const { device, tier } = backend;
    const note: Launcher = {
      device,
      tier,
      launch: ({ kernel }) => names.add(kernel),
      temporary: (_bytes, use) => use(0),
      copy: () => {},
      fill32: () => {},
    };
    const call = callOf(known, packed);
    launchConvolution(note, call, NOWHERE, choiceOf(backend, known, call));
    freeFilter(backend, packed);
    filter.dispose();
  }
  return names;
}

const NOWHERE = { input: 0, bias: 0, slopes: 0, residual: 0, result: 0, image: 0 };

async function failureOf(backend: CudaBackend, known: KnownCase): Promise<string | null> {
  const filter = filterOf(known);
  const { inHeight, inWidth, inChannels, outChannels } = geometryOf(known);
  const x = integers(inHeight * inWidth * inChannels, 127, 7);
  const bias = integers(outChannels, 1000, 11);
  const wanted = answerOf(known, filter, x, bias);
  const packed = uploadFilter(backend, filter, 1, known.float ? null : 8);
  const call = callOf(known, packed);
  const choice = choiceOf(backend, known, call);
  const kernel = choice.kind === 'mma' ? choice.tile.kernel : choice.kernel;
  try {
    const found = await compute(backend, call, choice, { x, bias }, wanted.length);
    const at = wanted.findIndex((value, n) => value !== found[n]);
    if (at < 0) return null;
    return `kernel '${kernel}' computes ${found[at]} for output ${at} of its known case; expected ${wanted[at]}`;
  } catch (error) {
    return `kernel '${kernel}': ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    freeFilter(backend, packed);
    filter.dispose();
  }
}

async function compute(
  backend: CudaBackend,
  call: ConvolutionCall,
  choice: KernelChoice,
  values: { x: Float32Array; bias: Float32Array },
  outputs: number,
): Promise<Float32Array> {
  const input = backend.uploaded(values.x);
  const bias = backend.uploaded(values.bias);
  try {
    const info = backend.make([outputs], 'float32', (y) =>
      launchConvolution(backend, call, { ...NOWHERE, input, bias, result: y.address }, choice),
    );
    const read = backend.read(info.dataId);
    backend.disposeData(info.dataId);
    return (await read) as Float32Array;
  } finally {
    backend.free(input);
    backend.free(bias);
  }
}

/** The kernel of a case: that of its tile in the tier that has tiles, else the one that calls like it get. */
function choiceOf(backend: CudaBackend, known: KnownCase, call: ConvolutionCall): KernelChoice {
  const { tile, channels, blockSize = CHUNK, splits = 1 } = known;
  const { filter } = call;
  if (!tile || backend.tier === 'naive' || filter.form === 'float')
    return chooseKernel(targetOf(backend), call);
  const { group, block } = chunksOf(1, channels, blockSize);
  const unit = STEP_CHUNKS * block;
  const splitChunks = Math.ceil(group / unit / splits) * unit;
  const like = {
    bits: filter.bits,
    halfScales: filter.halfScales,
    shifted: filter.shifts !== 0,
    converts: tile === CONVERTING,
  };
  const parts = Math.ceil(group / splitChunks);
  return { kind: 'mma', tile, splits: parts, splitChunks, sharedBytes: sharedBytes(tile, like) };
}

function callOf(known: KnownCase, filter: DeviceFilter): ConvolutionCall {
  const depthwise = known.kind === 'depthwise';
  const geometry = geometryOf(known);
  const format = { bits: 8, blockSize: known.blockSize ?? 32 };
  return {
    geometry,
    depthwise,
    multiplier: depthwise ? 1 : 0,
    filter,
    image: known.float ? null : inputImage(geometry, format, depthwise),
    readsImage: false,
    epilogue: {
      bias: true,
      residual: null,
      activation: 'linear',
      leakyreluAlpha: 0,
      round: null,
      writesFloat: true,
      image: null,
    },
  };
}

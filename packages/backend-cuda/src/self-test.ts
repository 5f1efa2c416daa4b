/**
 * Known answers, computed on the device itself when a backend is created, by every kernel of DSConv that may be chosen. Kernels that are wrong look normal, so
 * a tier that fails is not used, and an operator whose shared kernels fail is
 * switched off with the reason.
 */
import {
  DS_DEPTHWISE_CONV2D,
  DSCONV2D,
  DSConvFilter,
  type FilterKind,
  referenceDSConv2d,
  resolveGeometry,
} from '@dsconv/core';
import type { CudaBackend } from './backend.js';
import type { CudaTier, Launcher } from './device/launch.js';
import { type ConvolutionCall, inputImage, launchConvolution, targetOf } from './dsconv/convolution.js';
import { type DeviceFilter, freeFilter, uploadFilter } from './dsconv/filters.js';
import { chooseKernel } from './dsconv/kernel-choice.js';

/** One convolution with integers, whose sums are exact. */
interface KnownCase {
  kind: FilterKind;
  bits: 2 | 4 | 8;
  /** Float activations. */
  float?: boolean;
  /** With a bias of the distribution shifter. */
  shift?: boolean;
  kernel?: readonly [number, number];
  channels: number;
  outputs: number;
  height: number;
  width: number;
  blockSize?: number;
  /** What the choice of a tile is told of the device, so that it takes the tile that is meant. */
  multiprocessors?: number;
}

const WIDTHS = [2, 4, 8] as const;

const convolution = {
  kind: 'conv2d',
  kernel: [3, 2],
  channels: 44,
  outputs: 6,
  height: 5,
  width: 6,
} as const;
/** Of one tap, for tiles that are filled in one direction or both. */
const flat = { kind: 'conv2d', kernel: [1, 1], channels: 40, multiprocessors: 1, bits: 4 } as const;

/** Integer products: what the tiers differ in. */
const TIER_CASES: readonly KnownCase[] = [
  ...WIDTHS.flatMap((bits): KnownCase[] => [
    { ...convolution, bits },
    { ...convolution, bits, shift: true },
    { ...convolution, bits, channels: 3, outputs: 20 },
    { ...convolution, bits, channels: 3, outputs: 40 },
    { ...convolution, bits, kind: 'depthwise', channels: 20 },
    { ...convolution, bits, kind: 'depthwise' },
  ]),
  { ...flat, outputs: 120, height: 11, width: 11 },
  { ...flat, outputs: 60, height: 16, width: 15 },
  { ...flat, outputs: 60, height: 11, width: 11 },
  { ...flat, outputs: 30, height: 8, width: 7 },
  // Blocks whose sums may pass 2^22, and a depth that is cut into parts.
  { ...flat, bits: 8, channels: 600, blockSize: 512, outputs: 20, height: 3, width: 3 },
  { ...flat, channels: 500, outputs: 30, height: 2, width: 3, multiprocessors: 100 },
];

/** Float activations, the same in all tiers. */
const SHARED_CASES: readonly KnownCase[] = [
  { ...convolution, bits: 4, float: true },
  { ...convolution, bits: 4, float: true, shift: true },
  { ...convolution, bits: 8, kind: 'depthwise', float: true },
];

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
  for (const known of [...TIER_CASES, ...SHARED_CASES]) {
    const filter = filterOf(known);
    const packed = uploadFilter(backend, filter, 1, known.float ? null : 8);
    const note = {
      ...launcherFor(backend, known),
      launch: ({ kernel }: { kernel: string }) => names.add(kernel),
    };
    launchConvolution(note as unknown as Launcher, callOf(known, packed), NOWHERE);
    freeFilter(backend, packed);
    filter.dispose();
  }
  return names;
}

const NOWHERE = { input: 0, bias: 0, slopes: 0, residual: 0, result: 0, image: 0 };

/** Whole numbers from -`most` to `most`, the same every time. */
function integers(length: number, most: number, seed: number): Float32Array {
  let s = seed;
  return Float32Array.from({ length }, () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return Math.floor((s / 2 ** 32) * (2 * most + 1)) - most;
  });
}

/** Activations are whole numbers below 128 and scales powers of two: every sum is exact, so there is one answer. */
async function failureOf(backend: CudaBackend, known: KnownCase): Promise<string | null> {
  const filter = filterOf(known);
  const geometry = geometryOf(known);
  const x = integers(geometry.inHeight * geometry.inWidth * geometry.inChannels, 127, 7);
  const bias = integers(geometry.outChannels, 1000, 11);
  const activationBits = known.float ? null : 8;
  const wanted = referenceDSConv2d({ x, bias }, filter, { geometry, activationBits }).output;
  const packed = uploadFilter(backend, filter, 1, activationBits);
  const call = callOf(known, packed);
  const launcher = launcherFor(backend, known);
  const choice = chooseKernel(targetOf(launcher), call);
  const kernel = choice.kind === 'mma' ? choice.tile.kernel : choice.kernel;
  try {
    const found = await compute(backend, launcher, call, { x, bias }, wanted.length);
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
  launcher: Launcher,
  call: ConvolutionCall,
  values: { x: Float32Array; bias: Float32Array },
  outputs: number,
): Promise<Float32Array> {
  const input = backend.uploaded(values.x);
  const bias = backend.uploaded(values.bias);
  try {
    const info = backend.make([outputs], 'float32', (y) =>
      launchConvolution(launcher, call, { ...NOWHERE, input, bias, result: y.address }),
    );
    const read = backend.read(info.dataId);
    backend.disposeData(info.dataId);
    return (await read) as Float32Array;
  } finally {
    backend.free(input);
    backend.free(bias);
  }
}

/** The backend, on a device that says it has so many multiprocessors. */
function launcherFor(backend: CudaBackend, { multiprocessors }: KnownCase): Launcher {
  const { info } = backend.device;
  const told = { ...info, multiprocessors: multiprocessors ?? info.multiprocessors };
  return {
    device: Object.create(backend.device, { info: { value: told } }),
    tier: backend.tier,
    launch: (launch) => backend.launch(launch),
    temporary: (bytes, use) => backend.temporary(bytes, use),
    copy: (to, from, bytes) => backend.copy(to, from, bytes),
    fill32: (address, pattern, count) => backend.fill32(address, pattern, count),
  };
}

function geometryOf({ kind, kernel = [1, 1], channels, outputs, height, width }: KnownCase) {
  const strided = kernel[0] > 1;
  return resolveGeometry({
    inputShape: [1, height, width, channels],
    kernelSize: kernel,
    outChannels: kind === 'depthwise' ? channels : outputs,
    strides: strided ? [1, 2] : 1,
    pad: strided
      ? [
          [1, 1],
          [0, 1],
        ]
      : 'valid',
  });
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

function filterOf({
  kind,
  bits,
  shift,
  kernel = [1, 1],
  channels,
  outputs,
  blockSize = 32,
}: KnownCase): DSConvFilter {
  const depthwise = kind === 'depthwise';
  const shape: [number, number, number, number] = [...kernel, channels, depthwise ? 1 : outputs];
  const perChannel = depthwise || channels < 16;
  const scales = kernel[0] * kernel[1] * Math.ceil(channels / blockSize) * outputs;
  const powers = (length: number, seed: number) => ({
    format: 'float32' as const,
    data: integers(length, 2, seed).map((power) => 2 ** power),
  });
  const high = 2 ** (bits - 1);
  const count = shape.reduce((product, d) => product * d, 1);
  const q = Int8Array.from(integers(count, high, 3), (value) => Math.min(value, high - 1));
  const shifters = perChannel
    ? { cds: powers(depthwise ? channels : outputs, 5) }
    : { kds: powers(scales, 5), ...(shift && { kdsBias: powers(scales, 9) }) };
  return DSConvFilter.fromIntegers({ kind, shape, bits, blockSize, ...shifters }, q);
}

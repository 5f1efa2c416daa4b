/**
 * Known answers, computed on the adapter itself when a backend is created, for every shader variant that kernels may choose. Shaders that are
 * wrong look normal, and errors of the GPU are silent, so a variant that fails is switched off with the reason.
 */
import {
  DS_DEPTHWISE_CONV2D,
  DSCONV2D,
  type DSConvAttributes,
  DSConvFilter,
  type FilterKind,
  referenceDSConv2d,
  resolveGeometry,
} from '@dsconv/core';
import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs-core';
import type { GpuState } from './gpu/state.js';
import {
  convolutionVariant,
  depthwiseRowVariant,
  depthwiseVariant,
  floatVariant,
  type GpuTier,
  quantizeVariant,
  type Variant,
} from './gpu/variants.js';
import { dsconvKernels } from './kernels/dsconv.js';

/** The case of a variant. */
export interface KnownCase {
  kind: FilterKind;
  bits: 2 | 4 | 8;
  shift: boolean;
  /** Whether activations are float32. */
  float: boolean;
  /** Convolutions: output channels. Depthwise: channels. */
  outputs?: number;
  /** Width of the window, and columns from one output to the next. */
  width?: number;
  stride?: number;
}

interface VariantTest extends KnownCase {
  variant: Variant;
}

const WIDTHS = [2, 4, 8] as const;

/** Tests of the variants that multiply integers in one tier. */
function tierTests(tier: GpuTier): VariantTest[] {
  return WIDTHS.flatMap((bits) =>
    [false, true].map((shift) => ({
      variant: convolutionVariant(tier, shift),
      kind: 'conv2d' as const,
      bits,
      shift,
      float: false,
    })),
  );
}

/** Tests of the variants that all tiers share. */
function commonTests(): VariantTest[] {
  const base = { shift: false, float: true };
  return [
    ...WIDTHS.flatMap((bits): VariantTest[] => [
      { ...base, variant: floatVariant(false), kind: 'conv2d', bits },
      { ...base, variant: depthwiseVariant(true), kind: 'depthwise', bits },
      { ...base, variant: depthwiseVariant(false), kind: 'depthwise', bits, float: false },
      ...rowTests(bits),
    ]),
    { ...base, variant: floatVariant(true), kind: 'conv2d', bits: 4, shift: true },
  ];
}

function rowTests(bits: KnownCase['bits']): VariantTest[] {
  return ([1, 2] as const).flatMap((stride) =>
    [true, false].map((float) => ({
      ...{ kind: 'depthwise' as const, bits, shift: false, float, width: 3, stride },
      variant: depthwiseRowVariant(float, stride),
    })),
  );
}

/**
 * Makes `tier` the state's if its shaders give the known answers.
 *
 * @returns null, or why the tier cannot be used
 */
export async function tryTier(state: GpuState, tier: GpuTier): Promise<string | null> {
  const tests = tierTests(tier);
  const rounding = [quantizeVariant(true), quantizeVariant(false)];
  try {
    await state.pipelines.prepare([...tests.map(({ variant }) => variant), ...rounding]);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  state.tier = tier;
  for (const test of tests) {
    const failure = await failureOf(state, test);
    if (failure) return failure;
  }
  return null;
}

/** Switches off those of the shared variants that do not give the known answers. */
export async function testCommon(state: GpuState): Promise<void> {
  const tests = commonTests();
  await Promise.all(
    tests.map(({ variant }) =>
      state.pipelines.prepare([variant]).catch((error: Error) => {
        state.disabled.set(variant.key, error.message);
      }),
    ),
  );
  for (const test of tests) {
    const { key } = test.variant;
    if (state.disabled.has(key)) continue;
    const failure = await failureOf(state, test);
    if (failure) state.disabled.set(key, failure);
  }
}

/** Whole numbers from -`most` to `most`, the same every time. */
export function integers(length: number, most: number, seed: number): Float32Array {
  let s = seed;
  return Float32Array.from({ length }, () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return Math.floor((s / 2 ** 32) * (2 * most + 1)) - most;
  });
}

/** Activations are whole numbers below 128 and scales powers of two: every sum is exact, so there is one answer. */
async function failureOf(state: GpuState, test: VariantTest): Promise<string | null> {
  const attributes = attributesOf(test);
  const { geometry: g } = attributes;
  const x = integers(g.inHeight * g.inWidth * g.inChannels, 127, 7);
  const bias = integers(g.outChannels, 1000, 11);
  const { activationBits } = attributes;
  const wanted = referenceDSConv2d({ x, bias }, attributes.filter, { geometry: g, activationBits }).output;
  const { device } = state;
  device.pushErrorScope('validation');
  let found: Float32Array;
  let error: GPUError | null;
  try {
    found = await compute(state, test, attributes, { x, bias });
  } catch (thrown) {
    return `shader '${test.variant.key}': ${thrown instanceof Error ? thrown.message : String(thrown)}`;
  } finally {
    error = await device.popErrorScope();
    attributes.filter.dispose();
  }
  if (error) return `shader '${test.variant.key}' is refused by the device: ${error.message}`;
  const at = wanted.findIndex((value, n) => value !== found[n]);
  if (at < 0) return null;
  return `shader '${test.variant.key}' computes ${found[at]} for output ${at} of its known case; expected ${wanted[at]}`;
}

export function attributesOf({
  kind,
  bits,
  shift,
  float,
  outputs = kind === 'depthwise' ? 44 : 6,
  width = 2,
  stride = 2,
}: KnownCase): DSConvAttributes {
  const depthwise = kind === 'depthwise';
  const channels = depthwise ? outputs : 44;
  const shape: [number, number, number, number] = [3, width, channels, depthwise ? 1 : outputs];
  const blocks = 3 * width * 2 * outputs;
  const powers = (length: number, seed: number) => ({
    format: 'float32' as const,
    data: integers(length, 2, seed).map((power) => 2 ** power),
  });
  const count = shape.reduce((product, d) => product * d, 1);
  const high = 2 ** (bits - 1);
  const q = Int8Array.from(integers(count, high, 3), (value) => Math.min(value, high - 1));
  const scales = depthwise
    ? { cds: powers(outputs, 5) }
    : { kds: powers(blocks, 5), ...(shift && { kdsBias: powers(blocks, 9) }) };
  return {
    filter: DSConvFilter.fromIntegers({ kind, shape, bits, blockSize: 32, ...scales }, q),
    geometry: resolveGeometry({
      inputShape: [1, 5, 6, channels],
      kernelSize: [3, width],
      outChannels: outputs,
      strides: [1, stride],
      pad: [
        [1, 1],
        [0, 1],
      ],
    }),
    activation: 'linear',
    leakyreluAlpha: 0,
    activationBits: float ? null : 8,
    outputFormat: null,
  };
}

async function compute(
  { backend }: GpuState,
  test: VariantTest,
  attributes: DSConvAttributes,
  values: { x: Float32Array; bias: Float32Array },
): Promise<Float32Array> {
  const { geometry: g } = attributes;
  const name = test.kind === 'depthwise' ? DS_DEPTHWISE_CONV2D : DSCONV2D;
  const kernelFunc = dsconvKernels.find(({ kernelName }) => kernelName === name)!.kernelFunc as KernelFunc;
  const x = backend.makeTensorInfo([1, g.inHeight, g.inWidth, g.inChannels], 'float32', values.x);
  const bias = backend.makeTensorInfo([g.outChannels], 'float32', values.bias);
  let y: TensorInfo | undefined;
  try {
    y = kernelFunc({ inputs: { x, bias }, backend, attrs: attributes as never }) as TensorInfo;
    return (await backend.read(y.dataId)) as Float32Array;
  } finally {
    for (const info of [x, bias, y]) if (info) backend.disposeData(info.dataId);
  }
}

/** Known answers of shaders that were made for one kind of convolutions, computed on the adapter when the first plan that uses one is compiled. */
import {
  type Activation,
  type DSConvAttributes,
  quantizeBfp,
  referenceDSConv2d,
  roundToBfp,
} from '@dsconv/core';
import type { Epilogue } from '../gpu/call.js';
import type { GpuState } from '../gpu/state.js';
import type { ConvolutionVariant } from '../gpu/variants.js';
import {
  type ConvolutionCall,
  convolutionDispatch,
  inputImage,
  PLAIN,
  quantizeDispatch,
  variantOf,
} from '../kernels/convolution.js';
import { type ImageLayout, imageLayout } from '../layout/image.js';
import { attributesOf, integers, type KnownCase } from '../self-test.js';

/** One block of the format that results are rounded to holds all channels of a known case. */
const GRID = { bits: 8, blockSize: 64, groups: 1 };
const SLOPE = 0.5;

/**
 * Computes small cases with the shader of a call of a plan. All their sums are whole numbers or times powers of two, so that there is one answer.
 *
 * @returns null, or what is wrong
 */
export async function testSpecial(state: GpuState, planned: ConvolutionCall): Promise<string | null> {
  const variant = variantOf(state, planned);
  const { residual, activation } = planned.epilogue;
  const plain = residual === null && PLAIN.has(activation);
  const attributes = attributesOf(caseOf(planned, variant));
  try {
    // Activations that are exact.
    for (const tested of plain ? (['linear', 'relu6'] as const) : (['leakyrelu'] as const)) {
      const known: Known = { attributes, activation: tested, epilogue: planned.epilogue };
      const failure = await failureOf(state, variant.key, known);
      if (failure) return failure;
    }
    return null;
  } finally {
    attributes.filter.dispose();
  }
}

interface Known {
  attributes: DSConvAttributes;
  activation: Activation;
  /** Of the plan's call: what is read and written. */
  epilogue: Epilogue;
}

async function failureOf(
  state: GpuState,
  key: string,
  { attributes, activation, epilogue: e }: Known,
): Promise<string | null> {
  const { filter, geometry: g, activationBits } = attributes;
  const depthwise = filter.kind === 'depthwise';
  const rows = g.outHeight * g.outWidth;
  const out = imageLayout(rows, g.outChannels, GRID);
  const call: ConvolutionCall = {
    geometry: g,
    depthwise,
    multiplier: depthwise ? 1 : 0,
    blockSize: filter.blockSize,
    filter: state.filter(filter, 1, activationBits),
    image:
      activationBits === null ? null : inputImage(g, { bits: 8, blockSize: filter.blockSize }, depthwise),
    epilogue: {
      bias: true,
      residual: e.residual && 'float',
      activation,
      leakyreluAlpha: SLOPE,
      round: e.round && GRID,
      writesFloat: e.writesFloat,
      image: e.image && out,
    },
    special: true,
  };
  if (variantOf(state, call).key !== key) return `shader '${key}' has no known case`;
  const x = integers(g.inHeight * g.inWidth * g.inChannels, 127, 7);
  const bias = integers(g.outChannels, 1000, 11);
  const residual = e.residual ? integers(rows * g.outChannels, 1000, 13) : undefined;
  const options = { geometry: g, activationBits, activation, leakyreluAlpha: SLOPE };
  const wanted = Float32Array.from(referenceDSConv2d({ x, bias, residual }, filter, options).output);
  const found = await compute(state, call, { x, bias, residual }, out);
  const floats = e.round ? roundToBfp(wanted, g.outChannels, GRID) : wanted;
  const at = e.writesFloat ? floats.findIndex((value, n) => value !== found.floats[n]) : -1;
  if (at >= 0) {
    return `shader '${key}' computes ${found.floats[at]} for output ${at} of its known case; expected ${floats[at]}`;
  }
  const word = e.image ? wordsOf(wanted, out).findIndex((value, n) => value !== found.image[n]) : -1;
  return word < 0
    ? null
    : `shader '${key}' writes something else to word ${word} of the image of its known case`;
}

/** A case that has the same shader: as many quads of channels, as far as its width goes, the same window and the same weights. */
function caseOf(
  { geometry: g, depthwise, filter, image }: ConvolutionCall,
  { tile }: ConvolutionVariant,
): KnownCase {
  const quads = g.outChannels / (depthwise ? 1 : g.groups) / 4;
  return {
    kind: depthwise ? 'depthwise' : 'conv2d',
    bits: 'bits' in filter ? filter.bits : 8,
    shift: 'bits' in filter && filter.shiftAt !== 0,
    float: image === null,
    outputs: quads > 8 ? 44 : quads > 4 ? 24 : 12,
    ...(tile?.inRows && { width: 3, stride: g.strideWidth }),
  };
}

/** The image of values, as the shaders lay it out. */
function wordsOf(
  values: Float32Array,
  { byteLength, pixels, channels, pixelWords, scalesAt }: ImageLayout,
): Uint32Array {
  const { mantissa, scale } = quantizeBfp(values, channels, GRID);
  const words = new Uint32Array(byteLength / 4);
  const bytes = new Int8Array(words.buffer);
  for (let p = 0; p < pixels; p++) {
    bytes.set(mantissa.subarray(p * channels, (p + 1) * channels), 4 * p * pixelWords);
  }
  new Float32Array(words.buffer).set(scale, scalesAt);
  return words;
}

async function compute(
  state: GpuState,
  call: ConvolutionCall,
  values: { x: Float32Array; bias: Float32Array; residual: Float32Array | undefined },
  out: ImageLayout,
): Promise<{ floats: Float32Array; image: Uint32Array }> {
  const { device } = state;
  const made: GPUBuffer[] = [];
  const buffer = (size: number, usage: number): GPUBuffer => {
    made.push(device.createBuffer({ label: 'dsconv known case', size: Math.ceil(size / 16) * 16, usage }));
    return made.at(-1)!;
  };
  const storage = (size: number) =>
    buffer(size, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST);
  const filled = (numbers: Float32Array) => {
    const target = storage(numbers.byteLength);
    device.queue.writeBuffer(target, 0, numbers as Float32Array<ArrayBuffer>);
    return { buffer: target };
  };
  const { image, epilogue: e } = call;
  const x = filled(values.x);
  const input = image ? { buffer: storage(image.byteLength) } : x;
  const result = { buffer: storage(4 * out.pixels * out.channels) };
  const written = { buffer: storage(out.byteLength) };
  const dispatches = [
    ...(image ? [quantizeDispatch(state, image, x, input)] : []),
    convolutionDispatch(state, call, {
      input,
      bias: filled(values.bias),
      slopes: null,
      residual: values.residual ? filled(values.residual) : null,
      result: e.writesFloat ? result : null,
      image: e.image ? written : null,
    }),
  ];
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (const { pipeline, bindGroup, workgroups } of dispatches) {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(...workgroups);
  }
  pass.end();
  const staged = [result, written].map(({ buffer: source }) => {
    const staging = buffer(source.size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    encoder.copyBufferToBuffer(source, 0, staging, 0, source.size);
    return staging;
  });
  device.queue.submit([encoder.finish()]);
  try {
    const [floats, words] = await Promise.all(
      staged.map(async (staging) => {
        await staging.mapAsync(GPUMapMode.READ);
        return staging.getMappedRange().slice(0);
      }),
    );
    return { floats: new Float32Array(floats!), image: new Uint32Array(words!) };
  } finally {
    for (const one of made) one.destroy();
  }
}

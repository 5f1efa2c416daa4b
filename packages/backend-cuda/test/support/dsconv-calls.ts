/** Calls of DSConv kernels on addresses, as plans make them: images in and out, residuals of both kinds, any kernel that could serve. */
import {
  compareOutput,
  expectationOf,
  makeData,
  type NumericCase,
  type OperatorCase,
} from '@dsconv/conformance';
import { DS_DEPTHWISE_CONV2D, quantizeBfp, roundToBfp } from '@dsconv/core';
import type { CudaBackend } from '../../src/backend.js';
import { type ConvolutionCall, inputImage, launchConvolution } from '../../src/dsconv/convolution.js';
import { freeFilter, uploadFilter } from '../../src/dsconv/filters.js';
import type { KernelChoice } from '../../src/dsconv/kernel-choice.js';
import { launchQuantize } from '../../src/dsconv/round.js';
import { CONVERTING, servesBlocks, sharedBytes, type Tile } from '../../src/dsconv/tiles.js';
import { type ImageLayout, imageLayout } from '../../src/layout/image.js';
import { chunksOf } from '../../src/layout/pack-filter.js';

/** How a case is called. */
export interface Forms {
  /** The input is an image already. */
  readsImage?: boolean;
  /** The residual, whose values are rounded to a grid for this, is an image. */
  residualImage?: boolean;
  /** The result is written as float32 (default), as an image, or both; the image's grid is the case's outputFormat. */
  writes?: 'float' | 'image' | 'both';
  /** The kernel, from the call. */
  choose?: (call: ConvolutionCall) => KernelChoice;
}

const GUARD = 64;
const GUARD_WORD = 0x5ca1ab1e;

/** Words around what a kernel may write. */
class Guarded {
  readonly address: number;
  constructor(
    private readonly backend: CudaBackend,
    private readonly bytes: number,
  ) {
    const words = new Uint32Array(2 * GUARD + Math.ceil(bytes / 4)).fill(GUARD_WORD);
    this.start = backend.uploaded(words);
    this.address = this.start + 4 * GUARD;
  }
  private readonly start: number;

  read(): Uint8Array {
    const all = new Uint8Array(8 * GUARD + Math.ceil(this.bytes / 4) * 4);
    const { device } = this.backend;
    device.native.readSync(this.start, all, device.stream);
    this.backend.free(this.start);
    const words = new Uint32Array(all.buffer);
    const last = words.length - GUARD;
    words.forEach((word, n) => {
      if ((n < GUARD || n >= last) && word !== GUARD_WORD)
        throw new Error(`word ${n - GUARD} beside a result of ${last - GUARD} words was overwritten`);
    });
    return all.slice(4 * GUARD, 4 * GUARD + this.bytes);
  }
}

/** The values of an image, and a complaint where its padding is not zero. */
export function decodeImage(layout: ImageLayout, bytes: Uint8Array): Float32Array {
  const { pixels, channels, groups, blocks, blockSize, blockBytes, groupBytes, pixelBytes, scalesAt } =
    layout;
  const scales = new Float32Array(bytes.slice(scalesAt).buffer);
  const mantissas = new Int8Array(bytes.buffer, bytes.byteOffset, pixels * pixelBytes);
  const depth = channels / groups;
  const out = new Float32Array(pixels * channels);
  let nonZero = 0;
  for (const m of mantissas) if (m !== 0) nonZero++;
  for (let n = 0; n < out.length; n++) {
    const [pixel, channel] = [Math.floor(n / channels), n % channels];
    const [group, i] = [Math.floor(channel / depth), channel % depth];
    const block = Math.floor(i / blockSize);
    const m = mantissas[pixel * pixelBytes + group * groupBytes + block * blockBytes + (i % blockSize)]!;
    if (m !== 0) nonZero--;
    out[n] = m * (scales[(pixel * groups + group) * blocks + block]! * 2 ** 24);
  }
  if (nonZero !== 0) throw new Error(`${nonZero} bytes of padding are not zero`);
  return out;
}

/** Encodes values that lie on the grid of an image. */
export function encodeImage(layout: ImageLayout, values: Float32Array): Uint8Array {
  const { pixels, channels, groups, blocks, blockSize, blockBytes, groupBytes, pixelBytes, scalesAt, bits } =
    layout;
  const { mantissa, scale } = quantizeBfp(values, channels, { bits, blockSize, groups });
  const bytes = new Uint8Array(layout.byteLength);
  const depth = channels / groups;
  mantissa.forEach((m, n) => {
    const [pixel, channel] = [Math.floor(n / channels), n % channels];
    const [group, i] = [Math.floor(channel / depth), channel % depth];
    const at =
      pixel * pixelBytes + group * groupBytes + Math.floor(i / blockSize) * blockBytes + (i % blockSize);
    bytes[at] = m;
  });
  new Float32Array(bytes.buffer, scalesAt, pixels * groups * blocks).set(scale.map((s) => s * 2 ** -24));
  return bytes;
}

/** Runs a case; null, or one sentence on what is wrong. */
export function runCall(backend: CudaBackend, c: NumericCase, forms: Forms = {}): string | null {
  const data = makeData(c);
  const { geometry: g, filter } = data;
  const depthwise = c.kernel === DS_DEPTHWISE_CONV2D;
  const { writes = 'float', readsImage = false } = forms;
  const outPixels = g.batch * g.outHeight * g.outWidth;
  const residualLayout =
    forms.residualImage && data.residual ? imageLayout(outPixels, g.outChannels, RESIDUAL) : null;
  if (residualLayout) data.residual = roundToBfp(data.residual!, g.outChannels, RESIDUAL);
  const packed = uploadFilter(backend, filter, g.groups, c.activationBits);
  const format = c.activationBits === null ? null : { bits: c.activationBits, blockSize: filter.blockSize };
  const image = format && inputImage(g, format, depthwise);
  const outImage = writes === 'float' ? null : imageLayout(outPixels, g.outChannels, c.outputFormat!);
  const call: ConvolutionCall = {
    geometry: g,
    depthwise,
    multiplier: depthwise ? filter.shape[3] : 0,
    filter: packed,
    image,
    readsImage,
    epilogue: {
      bias: data.bias !== undefined,
      residual: data.residual ? (residualLayout ?? 'float') : null,
      activation: c.activation,
      leakyreluAlpha: c.leakyreluAlpha,
      round: c.outputFormat,
      writesFloat: writes !== 'image',
      image: outImage,
    },
  };
  const optional = (values: Float32Array | Uint8Array | undefined): number =>
    values ? backend.uploaded(values) : 0;
  const x = backend.uploaded(data.x);
  const input = readsImage ? backend.allocate(image!.byteLength) : x;
  if (readsImage) launchQuantize(backend, image!, x, input);
  const operands = {
    input,
    bias: optional(data.bias),
    slopes: optional(data.preluActivationWeights),
    residual: optional(residualLayout ? encodeImage(residualLayout, data.residual!) : data.residual),
  };
  const result = new Guarded(backend, 4 * outPixels * g.outChannels);
  const written = new Guarded(backend, outImage?.byteLength ?? 4);
  launchConvolution(
    backend,
    call,
    { ...operands, result: result.address, image: written.address },
    forms.choose?.(call),
  );
  try {
    const floats = new Float32Array(result.read().buffer);
    const imageBytes = written.read();
    const values = outImage ? decodeImage(outImage, imageBytes) : floats;
    const wrong = verdict(c, data, values) ?? (writes === 'both' ? verdict(c, data, floats) : null);
    if (wrong !== null || writes !== 'both') return wrong;
    const differs = floats.findIndex((value, n) => !Object.is(value + 0, values[n]! + 0));
    return differs < 0
      ? null
      : `float ${differs} is ${floats[differs]}, but the image has ${values[differs]}`;
  } finally {
    freeFilter(backend, packed);
    for (const address of new Set([x, ...Object.values(operands)])) if (address !== 0) backend.free(address);
    filter.dispose();
  }
}

/** A tile for a call, with the depth in about so many parts. */
export function forcedTile(tile: Tile, parts: number): (call: ConvolutionCall) => KernelChoice {
  return ({ geometry: g, image, filter }) => {
    if (filter.form !== 'fragments') throw new Error(`the filter is of the form ${filter.form}`);
    const taps = g.kernelHeight * g.kernelWidth;
    const chunks = chunksOf(taps, g.inChannels / g.groups, image!.blockSize);
    if (!servesBlocks(tile, chunks)) throw new Error(`${tile.kernel} does not serve these blocks`);
    const block = chunks.group % chunks.block === 0 ? chunks.block : chunks.group;
    const unit = block % 2 === 0 ? block : 2 * block;
    const splitChunks = Math.ceil((taps * chunks.group) / unit / parts) * unit;
    const splits = Math.ceil((taps * chunks.group) / splitChunks);
    const like = {
      bits: filter.bits,
      halfScales: filter.halfScales,
      shifted: filter.shifts !== 0,
      converts: tile === CONVERTING,
    };
    return { kind: 'mma', tile, splits, splitChunks, sharedBytes: sharedBytes(tile, like) };
  };
}

/** The grid of residuals that are images. */
const RESIDUAL = { bits: 8, blockSize: 32 };

function verdict(
  c: NumericCase,
  data: ReturnType<typeof makeData>,
  values: ArrayLike<number>,
): string | null {
  const mismatch = compareOutput(c, data, values);
  if (mismatch === null) return null;
  const { index, value, reference, bound, failed, total } = mismatch;
  return `${c.name}: output [${index}] is ${value}; expected ${reference} within ${bound} (${failed} of ${total} are wrong)`;
}

/** Whether a case can be held to the exact tier. */
export function isExact(c: OperatorCase): boolean {
  // An exponential is never exact.
  if (c.activation === 'silu') return false;
  const data = makeData(c);
  try {
    expectationOf(c, data, true);
    return true;
  } catch {
    return false;
  } finally {
    data.filter.dispose();
  }
}

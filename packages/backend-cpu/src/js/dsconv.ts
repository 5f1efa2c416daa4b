/**
 * The `js` tier: the operator in plain JavaScript, for engines without WebAssembly SIMD. Integer products are summed in doubles, which hold
 * them exactly; the float terms are summed in float64 and rounded once.
 */
import { activate, type DSConvAttributes, quantizeBfp, roundToBfp } from '@dsconv/core';
import type { NamedTensorInfoMap, TensorInfo } from '@tensorflow/tfjs-core';
import type { DSConvCpuBackend } from '../backend.js';

export function dsconv2dJs(
  inputs: NamedTensorInfoMap,
  backend: DSConvCpuBackend,
  attrs: DSConvAttributes,
): TensorInfo {
  const { geometry: g, outputFormat } = attrs;
  const read = (name: string): Float32Array | null =>
    inputs[name] ? Float32Array.from(backend.entry(inputs[name]).values as ArrayLike<number>) : null;
  const x = read('x')!;
  const sums = attrs.filter.kind === 'depthwise' ? depthwise(x, attrs) : convolution(x, attrs);
  const bias = read('bias');
  const residual = read('residual');
  const slopes = read('preluActivationWeights');
  let y = new Float32Array(sums.length);
  for (let n = 0; n < y.length; n++) {
    const o = n % g.outChannels;
    const sum = sums[n]! + (bias ? bias[o]! : 0) + (residual ? residual[n]! : 0);
    y[n] = activate(sum, attrs.activation, slopes ? slopes[o]! : attrs.leakyreluAlpha);
  }
  if (outputFormat) y = roundToBfp(y, g.outChannels, outputFormat) as Float32Array<ArrayBuffer>;
  return backend.makeTensorInfo([g.batch, g.outHeight, g.outWidth, g.outChannels], 'float32', y);
}

/** Calls `visit(pixel of x, tap, pixel of y)` for every tap that lies inside the image. */
function forEachTap(g: DSConvAttributes['geometry'], visit: (from: number, tap: number, to: number) => void) {
  let to = 0;
  for (let n = 0; n < g.batch; n++) {
    for (let oh = 0; oh < g.outHeight; oh++) {
      for (let ow = 0; ow < g.outWidth; ow++, to++) {
        for (let kh = 0; kh < g.kernelHeight; kh++) {
          const ih = oh * g.strideHeight - g.padTop + kh * g.dilationHeight;
          if (ih < 0 || ih >= g.inHeight) continue;
          for (let kw = 0; kw < g.kernelWidth; kw++) {
            const iw = ow * g.strideWidth - g.padLeft + kw * g.dilationWidth;
            if (iw < 0 || iw >= g.inWidth) continue;
            visit((n * g.inHeight + ih) * g.inWidth + iw, kh * g.kernelWidth + kw, to);
          }
        }
      }
    }
  }
}

function outputCount(g: DSConvAttributes['geometry']): number {
  return g.batch * g.outHeight * g.outWidth * g.outChannels;
}

function convolution(x: Float32Array, attrs: DSConvAttributes): Float64Array {
  const { filter, geometry: g, activationBits } = attrs;
  const { blocks, blockSize } = filter;
  const depth = filter.shape[2];
  const outputs = g.outChannels;
  const perGroup = outputs / g.groups;
  const sums = new Float64Array(outputCount(g));
  if (activationBits === null) {
    const weights = filter.dequantize();
    forEachTap(g, (from, tap, to) => {
      for (let o = 0; o < outputs; o++) {
        const first = from * g.inChannels + Math.floor(o / perGroup) * depth;
        let sum = 0;
        for (let i = 0; i < depth; i++) sum += x[first + i]! * weights[(tap * depth + i) * outputs + o]!;
        sums[to * outputs + o] = sums[to * outputs + o]! + sum;
      }
    });
    return sums;
  }
  const q = filter.unpack();
  const kds = filter.scales('kds');
  const kdsBias = filter.scales('kdsBias');
  const cds = filter.scales('cds');
  const cdsBias = filter.scales('cdsBias');
  const format = { bits: activationBits, blockSize, groups: g.groups };
  const { mantissa, scale } = quantizeBfp(x, g.inChannels, format);
  const products = new Float64Array(perGroup);
  forEachTap(g, (from, tap, to) => {
    for (let group = 0; group < g.groups; group++) {
      for (let j = 0; j < blocks; j++) {
        const blockScale = scale[(from * g.groups + group) * blocks + j]!;
        if (blockScale === 0) continue;
        const end = Math.min((j + 1) * blockSize, depth);
        products.fill(0);
        let total = 0;
        for (let i = j * blockSize; i < end; i++) {
          const m = mantissa[from * g.inChannels + group * depth + i]!;
          if (m === 0) continue;
          total += m;
          const row = (tap * depth + i) * outputs + group * perGroup;
          for (let o = 0; o < perGroup; o++) products[o] = products[o]! + q[row + o]! * m;
        }
        for (let o = 0; o < perGroup; o++) {
          const channel = group * perGroup + o;
          const s = (tap * blocks + j) * outputs + channel;
          const c = cds ? cds[channel]! : 1;
          const shift = (kdsBias ? c * kdsBias[s]! : 0) + (cdsBias ? cdsBias[channel]! : 0);
          const term = blockScale * (c * (kds ? kds[s]! : 1) * products[o]! + shift * total);
          sums[to * outputs + channel] = sums[to * outputs + channel]! + term;
        }
      }
    }
  });
  return sums;
}

function depthwise(x: Float32Array, attrs: DSConvAttributes): Float64Array {
  const { filter, geometry: g, activationBits } = attrs;
  const multiplier = filter.shape[3];
  const outputs = g.outChannels;
  const weights = activationBits === null ? filter.dequantize() : filter.unpack();
  const cds = activationBits === null ? null : filter.scales('cds');
  const rounded =
    activationBits === null
      ? x
      : roundToBfp(x, g.inChannels, { bits: activationBits, blockSize: filter.blockSize });
  const sums = new Float64Array(outputCount(g));
  forEachTap(g, (from, tap, to) => {
    for (let o = 0; o < outputs; o++) {
      const product =
        rounded[from * g.inChannels + Math.floor(o / multiplier)]! * weights[tap * outputs + o]!;
      sums[to * outputs + o] = sums[to * outputs + o]! + (cds ? cds[o]! : 1) * product;
    }
  });
  return sums;
}

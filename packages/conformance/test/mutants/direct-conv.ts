/** The operator of NUMERICS §4 as plain loops, independent of core's reference, with the faults of `mutations.ts`. */
import type { DSConvAttributes } from '@dsconv/core';
import { type Partition, type Quantized, quantize } from './direct-bfp.js';
import { takeApart } from './direct-filter.js';
import { epilogue } from './epilogue.js';
import type { Switch } from './mutations.js';

export interface DirectInputs {
  x: Float32Array;
  bias?: Float32Array | undefined;
  residual?: Float32Array | undefined;
  preluActivationWeights?: Float32Array | undefined;
}

/** float32 NHWC. */
export function directConv(inputs: DirectInputs, attributes: DSConvAttributes, on: Switch): Float32Array {
  const { filter, geometry: g } = attributes;
  const isDepthwise = filter.kind === 'depthwise';
  const depth = isDepthwise ? 1 : filter.shape[2];
  const bits = attributes.activationBits ?? (on('floatActivationsQuantized') ? 8 : null);
  const partition: Partition = {
    channels: g.inChannels,
    groups: isDepthwise || on('blocksAcrossGroups') ? 1 : g.groups,
    blockSize: isDepthwise && on('blocksOfDepthwiseIgnored') ? g.inChannels : filter.blockSize,
    bits: bits === null || on('activationBitsIgnored') ? 8 : bits,
  };
  const x = bits === null ? asMantissas(inputs.x) : quantize(inputs.x, partition, on);
  if (on('inputWritten')) inputs.x.set(x.mantissa.map((m, i) => m * x.scale[i]!));
  const weights = takeApart(filter, on);
  const [strideHeight, strideWidth] = on('stridesSwapped')
    ? [g.strideWidth, g.strideHeight]
    : [g.strideHeight, g.strideWidth];
  const [dilationHeight, dilationWidth] = on('dilationIgnored')
    ? [1, 1]
    : [g.dilationHeight, g.dilationWidth];
  const padTop = on('paddingSwapped') ? g.padBottom : g.padTop;
  const padLeft = (on('paddingSwapped') ? g.padRight : g.padLeft) + (on('paddingOffByOne') ? 1 : 0);

  /** Sum of all terms of one output, without bias and residual. */
  const sumAt = (n: number, oh: number, ow: number, o: number): number => {
    const group = on('groupsInterleaved') ? o % g.groups : Math.floor(o / (g.outChannels / g.groups));
    let first = group * depth;
    if (isDepthwise) first = on('multiplierSwapped') ? o % g.inChannels : Math.floor(o / filter.shape[3]);
    else if (on('groupsIgnored')) first = 0;
    let sum = 0;
    for (let kh = 0; kh < g.kernelHeight; kh++) {
      for (let kw = 0; kw < g.kernelWidth; kw++) {
        const row = oh * strideHeight + kh * dilationHeight - padTop;
        const column = ow * strideWidth + kw * dilationWidth - padLeft;
        const ih = Math.min(Math.max(row, 0), g.inHeight - 1);
        const iw = Math.min(Math.max(column, 0), g.inWidth - 1);
        const padded = (ih !== row || iw !== column) && !on('paddingAsValue');
        if (padded && !on('kdsBiasOnPadding')) continue;
        const image = on('batchIgnored') ? 0 : n;
        const pixel = ((image * g.inHeight + ih) * g.inWidth + iw) * g.inChannels;
        const tap =
          on('kernelTransposed') && g.kernelHeight === g.kernelWidth
            ? kw * g.kernelHeight + kh
            : kh * g.kernelWidth + kw;
        for (let block = 0; block * filter.blockSize < depth; block++) {
          sum += term(pixel + first, tap, block, o, padded);
        }
      }
    }
    return sum;
  };

  const term = (channel: number, tap: number, block: number, o: number, padded: boolean): number => {
    const start = block * filter.blockSize;
    let end = Math.min(start + filter.blockSize, depth);
    const ragged = !isDepthwise && end - start < filter.blockSize;
    if (ragged && on('lastBlockDropped')) return 0;
    if (ragged && on('lastBlockFull')) end = start + filter.blockSize;
    const product = padded
      ? 0
      : dotProduct(x, channel, start, end, (i) => weights.q(tap, i, o), filter.bits, on);
    let total = 0;
    for (let i = start; i < end; i++) total += x.mantissa[channel + i] ?? 0;
    const scaleBlock = ragged && block > 0 && on('lastBlockPreviousScale') ? block - 1 : block;
    const cds = weights.cds(o);
    const shift =
      (on('cdsNotOnKdsBias') ? 1 : cds) * weights.kdsBias(tap, scaleBlock, o) + weights.cdsBias(o);
    const scale = x.scale[channel + start]!;
    return scale * (cds * weights.kds(tap, scaleBlock, o) * product + shift * total);
  };

  const out = new Float32Array(g.batch * g.outHeight * g.outWidth * g.outChannels);
  let at = 0;
  for (let n = 0; n < g.batch; n++) {
    for (let oh = 0; oh < g.outHeight; oh++) {
      for (let ow = 0; ow < g.outWidth; ow++) {
        for (let o = 0; o < g.outChannels; o++, at++) {
          out[at] = epilogue(sumAt(n, oh, ow, o), at, o, inputs, attributes, on);
        }
      }
    }
  }
  const format = attributes.outputFormat;
  if (!format || on('outputFormatIgnored')) return out;
  const groups = on('outputFormatGroupsIgnored') ? 1 : format.groups;
  const rounding: Switch = (mutation) => mutation === 'truncate' && on('outputFormatTruncates');
  const { mantissa, scale } = quantize(out, { ...format, channels: g.outChannels, groups }, rounding);
  return out.map((_, i) => mantissa[i]! * scale[i]!);
}

/** Float activations in the shape of quantized ones: every scale is 1. */
function asMantissas(x: Float32Array): Quantized {
  return { mantissa: Float64Array.from(x), scale: new Float64Array(x.length).fill(1) };
}

const saturate16 = (value: number): number => Math.max(-32768, Math.min(32767, value));
const wrap16 = (value: number): number => (value << 16) >> 16;

/** `Σ q * M` of the depths `start … end`, in the arithmetic of choice. */
function dotProduct(
  x: Quantized,
  channel: number,
  start: number,
  end: number,
  q: (i: number) => number,
  bits: number,
  on: Switch,
): number {
  const m = (i: number): number => x.mantissa[channel + i] ?? 0;
  let sum = 0;
  if (on('saturatingPairs')) {
    // Weights are made unsigned, as u8 × s8 instructions ask for, and the offset is repaid at the end.
    const offset = 2 ** (bits - 1);
    for (let i = start; i < end; i += 2) {
      const second = i + 1 < end ? (q(i + 1) + offset) * m(i + 1) : 0;
      sum += saturate16((q(i) + offset) * m(i) + second);
      sum -= offset * (m(i) + (i + 1 < end ? m(i + 1) : 0));
    }
    return sum;
  }
  const run = on('accumulator16Of64') || (on('accumulator16At4Bits') && bits === 4) ? 64 : 256;
  const narrow = run === 64 || (on('accumulator16At2Bits') && bits === 2);
  let part = 0;
  for (let i = start; i < end; i++) {
    const wraps = on('minus128Negated') && q(i) === -128 && m(i) < 0;
    part += wraps ? 128 * m(i) : q(i) * m(i);
    if (on('accumulator16') || narrow) part = wrap16(part);
    if (narrow && (i - start) % run === run - 1) {
      sum += part;
      part = 0;
    }
  }
  return sum + part;
}

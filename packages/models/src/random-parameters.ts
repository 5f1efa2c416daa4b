import { DSConvFilter, type StoredScales, toFloat16Bits } from '@dsconv/core';
import { type Architecture, outChannels, weightCount } from './architecture.js';
import type { LayerWeights } from './network.js';

/**
 * Float weights for figures that need a network's shapes but no training: He-normal kernels (standard deviation `√(2 / fan-in)`), biases
 * of the same size. The same seed gives the same numbers.
 *
 * Source: He et al., arXiv 1502.01852.
 */
export function randomParameters(architecture: Architecture, seed: number): Map<string, LayerWeights> {
  const normal = normalGenerator(seed);
  const draw = (length: number, deviation: number): Float32Array => {
    const values = new Float32Array(length);
    for (let n = 0; n < length; n++) values[n] = normal() * deviation;
    return values;
  };
  return new Map(
    architecture.layers.map((layer) => {
      const [kh, kw, inner] = layer.shape;
      if (layer.kind === 'norm') {
        // Scales near 1, which keep the size of what they scale.
        const scales = draw(weightCount(layer), 0.1).map((value) => 1 + value);
        return [layer.name, { filter: scales, bias: draw(outChannels(layer), 0.1) }];
      }
      const deviation = Math.sqrt(2 / (kh * kw * (layer.kind === 'depthwise' ? 1 : inner)));
      return [
        layer.name,
        { filter: draw(weightCount(layer), deviation), bias: draw(outChannels(layer), 0.1) },
      ];
    }),
  );
}

/** Standard normal numbers, by the polar method of Marsaglia. */
function normalGenerator(seed: number): () => number {
  const uniform = mulberry32(seed);
  let spare: number | null = null;
  return () => {
    if (spare !== null) {
      const value = spare;
      spare = null;
      return value;
    }
    for (;;) {
      const u = 2 * uniform() - 1;
      const v = 2 * uniform() - 1;
      const s = u * u + v * v;
      if (s >= 1 || s === 0) continue;
      const factor = Math.sqrt((-2 * Math.log(s)) / s);
      spare = v * factor;
      return u * factor;
    }
  };
}

/** Mulberry32 by Tommy Ettinger (public domain): uniform numbers in [0, 1) from 32 bits of state. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Quantized weights for figures that need a network's shapes but no training: random integers with scales that keep the activations' size
 * (√(2 / fan-in), as above), stem and depthwise with 8 bits per channel. A hundred times faster than quantizing random floats.
 */
export function randomQuantizedParameters(
  architecture: Architecture,
  seed: number,
  { bits, blockSize }: { bits: number; blockSize: number },
): Map<string, LayerWeights> {
  const uniform = mulberry32(seed);
  const float = (length: number, centre: number): Float32Array =>
    Float32Array.from({ length }, () => centre + (uniform() - 0.5) * 0.3);
  return new Map(
    architecture.layers.map((layer): [string, LayerWeights] => {
      const { name, kind, role, shape } = layer;
      const [kh, kw, inner, outer] = shape;
      if (kind === 'norm') return [name, { filter: float(outer, 1), bias: float(outer, 0) }];
      const isPerChannel = role === 'stem' || kind === 'depthwise' || inner < 16;
      const layerBits = role === 'stem' || kind === 'depthwise' ? 8 : bits;
      const vqk = new Uint8Array(Math.ceil((weightCount(layer) * layerBits) / 8));
      for (let n = 0; n < vqk.length; n++) vqk[n] = uniform() * 256;
      const fanIn = kh * kw * (kind === 'depthwise' ? 1 : inner);
      // Uniform integers of b bits have the variance 4^b / 12.
      const scale = Math.sqrt(2 / fanIn) / (2 ** layerBits / Math.sqrt(12));
      const scales = (length: number): StoredScales => ({
        format: 'float16',
        data: new Uint16Array(length).fill(toFloat16Bits(scale)),
      });
      const filter = new DSConvFilter({
        kind: kind === 'depthwise' ? 'depthwise' : 'conv2d',
        shape,
        bits: layerBits,
        blockSize,
        vqk,
        ...(isPerChannel
          ? { cds: scales(outChannels(layer)) }
          : { kds: scales(kh * kw * Math.ceil(inner / blockSize) * outer) }),
      });
      return [name, { filter, bias: float(outChannels(layer), 0) }];
    }),
  );
}

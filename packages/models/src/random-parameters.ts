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

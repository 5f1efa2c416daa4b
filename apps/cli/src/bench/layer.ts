/** A convolution to measure, and its random numbers. */
import type { Padding } from '@dsconv/core';

export interface BenchLayer {
  name: string;
  depthwise: boolean;
  /** `[height, width, channels]` of the input; batch 1. */
  input: readonly [number, number, number];
  /** conv2d: HWIO; depthwise: `[kh, kw, channels, multiplier]`. */
  filter: readonly [number, number, number, number];
  strides: number;
  pad: Padding;
  activation: 'relu' | 'relu6';
  /** Weight bits of the quantized filter. */
  bits: number;
  blockSize: number;
  /** Multiply-accumulates. */
  macs: number;
  /** How often the network has this layer. */
  count: number;
}

/** Reproducible numbers in [0, 1), mulberry32. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `length` numbers in [low, high). */
export function randomArray(length: number, seed: number, low: number, high: number): Float32Array {
  const next = randomNumbers(seed);
  return Float32Array.from({ length }, () => low + (high - low) * next());
}

/** Output channels of the layer. */
export function outputChannels({ depthwise, filter }: BenchLayer): number {
  return depthwise ? filter[2] * filter[3] : filter[3];
}

export function product(shape: readonly number[]): number {
  return shape.reduce((result, d) => result * d, 1);
}

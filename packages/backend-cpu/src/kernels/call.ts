/** Filling the call record that every convolution kernel of the modules reads. */
import type { Activation, ConvGeometry } from '@dsconv/core';
import type { WasmHeap } from '../wasm-heap.js';
import { ACTIVATION, CALL, type Ptr } from '../wasm-interface.js';

export interface ConvolutionCall {
  geometry: ConvGeometry;
  x: Ptr;
  filter: Ptr;
  y: Ptr;
  bias: Ptr;
  residual: Ptr;
  alphas: Ptr;
  activation: Activation;
  leakyreluAlpha: number;
  /** 0 for float activations. */
  mantissa?: number;
  /** Depthwise only. */
  multiplier?: number;
  /** Depthwise DSConv only: activation block. */
  block?: number;
}

/** Returns the address of the filled record. */
export function convolutionCall(heap: WasmHeap, call: ConvolutionCall): Ptr {
  const g = call.geometry;
  const words = {
    [CALL.x]: call.x,
    [CALL.filter]: call.filter,
    [CALL.y]: call.y,
    [CALL.bias]: call.bias,
    [CALL.residual]: call.residual,
    [CALL.alphas]: call.alphas,
    [CALL.activation]: ACTIVATION[call.activation],
    [CALL.mantissa]: call.mantissa ?? 0,
    [CALL.batch]: g.batch,
    [CALL.inH]: g.inHeight,
    [CALL.inW]: g.inWidth,
    [CALL.inC]: g.inChannels,
    [CALL.outH]: g.outHeight,
    [CALL.outW]: g.outWidth,
    [CALL.kh]: g.kernelHeight,
    [CALL.kw]: g.kernelWidth,
    [CALL.strideH]: g.strideHeight,
    [CALL.strideW]: g.strideWidth,
    [CALL.dilationH]: g.dilationHeight,
    [CALL.dilationW]: g.dilationWidth,
    [CALL.padTop]: g.padTop,
    [CALL.padLeft]: g.padLeft,
    [CALL.mult]: call.multiplier ?? 0,
    [CALL.block]: call.block ?? 0,
  };
  return heap.call(words, CALL.alpha, call.leakyreluAlpha);
}

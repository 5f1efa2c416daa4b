/** Filling the call record that the addon's convolutions read (native/interface.d.ts, `CallWords`). */
import type { Activation, BfpFormat, ConvGeometry } from '@dsconv/core';
import type { CallRecord, CallWords, Window2d } from '../../native/interface.js';
import { ACTIVATION } from '../wasm/interface.js';

const WORDS: CallWords = {
  activation: 7,
  mantissa: 9,
  batch: 10,
  inH: 11,
  inW: 12,
  inC: 13,
  outH: 14,
  outW: 15,
  kh: 16,
  kw: 17,
  strideH: 18,
  strideW: 19,
  dilationH: 20,
  dilationW: 21,
  padTop: 22,
  padLeft: 23,
  outputMantissa: 24,
  outputBlock: 25,
  outputGroups: 28,
  mult: 26,
  block: 27,
};

export interface CallOptions {
  activation?: Activation;
  /** 0 for float activations. */
  mantissa?: number;
  outputFormat?: Required<BfpFormat> | null;
  /** Depthwise: outputs per channel. */
  multiplier?: number;
  /** Depthwise DSConv: activation block. */
  block?: number;
}

export function callRecord(g: ConvGeometry, options: CallOptions): CallRecord {
  const record = new Int32Array(32);
  const { activation = 'linear', mantissa = 0, outputFormat, multiplier = 0, block = 0 } = options;
  const values: Record<keyof CallWords, number> = {
    activation: ACTIVATION[activation],
    mantissa,
    batch: g.batch,
    inH: g.inHeight,
    inW: g.inWidth,
    inC: g.inChannels,
    outH: g.outHeight,
    outW: g.outWidth,
    kh: g.kernelHeight,
    kw: g.kernelWidth,
    strideH: g.strideHeight,
    strideW: g.strideWidth,
    dilationH: g.dilationHeight,
    dilationW: g.dilationWidth,
    padTop: g.padTop,
    padLeft: g.padLeft,
    outputMantissa: outputFormat?.bits ?? 0,
    outputBlock: outputFormat?.blockSize ?? 0,
    outputGroups: outputFormat?.groups ?? 0,
    mult: multiplier,
    block,
  };
  for (const [name, value] of Object.entries(values)) record[WORDS[name as keyof CallWords]] = value;
  return record;
}

/** A pooling window in the addon's words. */
export function windowOf(g: ConvGeometry): Window2d {
  return {
    batch: g.batch,
    inH: g.inHeight,
    inW: g.inWidth,
    channels: g.inChannels,
    outH: g.outHeight,
    outW: g.outWidth,
    kh: g.kernelHeight,
    kw: g.kernelWidth,
    strideH: g.strideHeight,
    strideW: g.strideWidth,
    dilationH: g.dilationHeight,
    dilationW: g.dilationWidth,
    padTop: g.padTop,
    padLeft: g.padLeft,
  };
}

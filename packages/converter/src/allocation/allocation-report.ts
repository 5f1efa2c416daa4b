import type { QuantizationTarget } from './targets.js';

/** A size and what is lost at it. */
export interface CurvePoint {
  /** Of all kernels, scales included. */
  kernelBytes: number;
  bitsPerWeight: number;
  /** Kullback-Leibler divergence from the float network's answers, nats per picture: the sum of what the layers lose alone. */
  predictedLoss: number;
  /** The same of the whole quantized network, on pictures it was not calibrated on where there are any; null where it was not made. */
  measuredLoss: number | null;
  /** Part of these pictures with the float network's class. */
  agreement: number | null;
}

/** What each form of a layer costs and loses. */
export interface LayerSensitivity {
  layer: string;
  /** Index of the form that was chosen. */
  chosen: number;
  forms: {
    bits: number;
    blockSize: number;
    /** Of integers and scales. */
    bytes: number;
    /** As {@link CurvePoint.predictedLoss}, with only this layer quantized. */
    loss: number;
  }[];
}

/** How bits were chosen. */
export interface AllocationReport {
  target: QuantizationTarget;
  /** Pictures that were given; 0 where noise stood for them. */
  pictures: number;
  chosen: CurvePoint;
  /** From the smallest network on. */
  curve: CurvePoint[];
  layers: LayerSensitivity[];
}

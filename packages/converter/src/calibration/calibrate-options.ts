import type { QuantizationReport, QuantizeNetworkOptions } from '../quantize-network.js';
import type { FitParameters } from './fit-layer.js';

/** Preprocessed pictures, read when they are needed. */
export interface CalibrationPictures {
  count: number;
  /** `[inputSize, inputSize, channels]`. */
  read(index: number): Promise<Float32Array>;
}

export interface CalibrateOptions
  extends Omit<QuantizeNetworkOptions, 'method' | 'kdsBias' | 'cds' | 'biasCorrection'> {
  /** Numbers of the recipe; see {@link FitParameters}. */
  fit?: Partial<FitParameters>;
  /** Patches that a layer's statistics are made of, at most. Default 40,000. */
  rows?: number;
  /** Bytes that the activations of all pictures may take; of more pictures than fit, as many are drawn. Default {@link DEFAULT_MEMORY}. */
  memory?: number;
  /** Of the choice of pictures and patches. Default 1. */
  seed?: number;
}

export interface CalibrationReport extends QuantizationReport {
  /** Pictures that were used. */
  pictures: number;
  /** Layers that were only rounded, because their statistics would take too much memory. */
  rounded: string[];
}

/**
 * What suited MobileNet v1 0.75 at 3 bits, fitted on one half of 125 photographs and asked on the other; networks with fewer inputs per layer bear
 * a third of the damping.
 */
export const DEFAULT_FIT: FitParameters = {
  targetDamping: 0.3,
  roundingDamping: 0.2,
  rounds: 3,
  moveTargets: true,
};

/** 1.5 GiB. */
export const DEFAULT_MEMORY = 1.5 * 2 ** 30;

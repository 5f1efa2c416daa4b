/** How layers are told to quantize, and what is refused. */
import { InvalidArgumentError, type ScaleFormat } from '@dsconv/core';
import { checkBits, SCALE_TRAININGS, type ScaleTraining } from '../filter/quantized-filter.js';

/** Padding of a layer: Keras' words, or pixels on every side as PyTorch has them. */
export type LayerPadding = 'valid' | 'same' | number;

/** How a layer's filter and input are quantized. */
export interface QuantizationArgs {
  /** Weight bits, 2 to 8. Default 4; 8 for depthwise layers. */
  bits?: number;
  /** Depth of a block of weights and activations, `B`. Default 64. */
  blockSize?: number;
  /** Mantissa bits of the block-floating-point input, 2 to 8, or null for float activations. Default 8. */
  activationBits?: number | null;
  /** What becomes of the scales in training. Default 'fitted'; 'learned' with `kdsBias`. */
  scales?: ScaleTraining;
  /** How scales are stored; training sees them so. Default 'float16'. */
  scaleFormat?: ScaleFormat;
}

/** Shifters of the 2018 form, which only full convolutions have. */
export interface ShifterArgs {
  /** A bias per block too, always learned. Default false. */
  kdsBias?: boolean;
  /** A scale and a bias per output channel, always learned. Default false. */
  cds?: boolean;
  /** One scale per output channel instead of one per block. Default: where the depth is below 16. */
  perChannel?: boolean;
}

/** All of it, resolved. */
export interface Settings extends Required<QuantizationArgs> {
  padding: LayerPadding;
  groups: number;
  kdsBias: boolean;
  cds: boolean;
  perChannel: boolean | undefined;
}

/** @throws InvalidArgumentError naming the setting */
export function checkSettings(settings: Settings): void {
  const { bits, blockSize, activationBits, scales, padding, groups, kdsBias, scaleFormat } = settings;
  checkBits(bits);
  if (activationBits !== null) checkBits(activationBits, 'activationBits');
  const positive = { blockSize, groups };
  for (const [name, value] of Object.entries(positive)) {
    if (!Number.isInteger(value) || value < 1) {
      throw new InvalidArgumentError(`${name} is ${value}; expected a positive integer`);
    }
  }
  if (!SCALE_TRAININGS.includes(scales)) {
    throw new InvalidArgumentError(
      `scales is '${String(scales)}'; expected one of ${SCALE_TRAININGS.join(', ')}`,
    );
  }
  if (scaleFormat !== 'float16' && scaleFormat !== 'float32') {
    throw new InvalidArgumentError(
      `scaleFormat is '${String(scaleFormat)}'; expected 'float16' or 'float32'`,
    );
  }
  if (kdsBias && scales === 'fitted') {
    throw new InvalidArgumentError(`scales is 'fitted' with kdsBias; expected 'learned' or 'frozen' with it`);
  }
  const isPadding =
    padding === 'valid' || padding === 'same' || (Number.isInteger(padding) && (padding as number) >= 0);
  if (!isPadding) {
    throw new InvalidArgumentError(
      `padding is ${JSON.stringify(padding)}; expected 'valid', 'same' or a number of pixels`,
    );
  }
}

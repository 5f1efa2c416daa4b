import { batchMoments, normalizeBatch } from '@dsconv/core';
import { add, mul, rsqrt, serialization, sub, type Tensor1D, type Tensor4D } from '@tensorflow/tfjs-core';
import { initializers, type LayerVariable, type Shape } from '@tensorflow/tfjs-layers';
import { EPSILON } from '../network/batch-norm.js';
import { DSConv2D, type DSConv2DArgs } from './ds-conv2d.js';
import type { NormTensors } from './ds-convolution.js';
import type { LayerPadding } from './settings.js';

/** Arguments of `dsConv2d`; a batch normalization takes the place of the bias. */
export interface DSConvBlockArgs extends Omit<DSConv2DArgs, 'kernelSize' | 'useBias'> {
  /** Default 1. */
  kernelSize?: DSConv2DArgs['kernelSize'];
  /** Default: half of the (dilated) kernel, as PyTorch's users do, so that strides of 1 keep the size. */
  padding?: LayerPadding;
  /** Default 'swish', which is SiLU. */
  activation?: DSConv2DArgs['activation'];
  /** Share of the old statistics that stays at every step of training. Default 0.9, PyTorch's. */
  momentum?: number;
}

/**
 * Convolution, batch normalization, activation: the block that users of YOLO know as DSConv2D, here with a convolution that is quantized indeed. Kernels of unequal sides
 * are padded by half of the larger one.
 */
export class DSConvBlock extends DSConv2D {
  /** @nocollapse */
  static override readonly className: string = 'DSConvBlock';
  private readonly momentum: number;
  private gamma!: LayerVariable;
  private beta!: LayerVariable;
  private movingMean!: LayerVariable;
  private movingVariance!: LayerVariable;

  constructor(args: DSConvBlockArgs) {
    const { kernelSize = 1, activation = 'swish', momentum = 0.9 } = args;
    const padding = args.padding ?? halfKernel(kernelSize, args.dilationRate ?? 1);
    super({ ...args, kernelSize, activation, padding, useBias: false } as DSConv2DArgs);
    this.momentum = momentum;
  }

  override build(inputShape: Shape | Shape[]): void {
    super.build(inputShape);
    const channels = [this.outputChannels()];
    const [zeros, ones] = [initializers.zeros(), initializers.ones()];
    this.gamma = this.addWeight('gamma', channels, 'float32', ones);
    this.beta = this.addWeight('beta', channels, 'float32', zeros);
    this.movingMean = this.addWeight('moving_mean', channels, 'float32', zeros, undefined, false);
    this.movingVariance = this.addWeight('moving_variance', channels, 'float32', ones, undefined, false);
  }

  protected override normalize(y: Tensor4D, training: boolean): Tensor4D {
    const [gamma, beta] = [this.gamma.read() as Tensor1D, this.beta.read() as Tensor1D];
    if (!training) {
      const factor = mul(gamma, rsqrt(add(this.movingVariance.read(), EPSILON)));
      return add(mul(y, factor), sub(beta, mul(this.movingMean.read(), factor)));
    }
    const moments = batchMoments(y);
    const move = (variable: LayerVariable, value: Tensor1D): void => {
      const old = variable.read();
      variable.write(add(old, mul(sub(value, old), 1 - this.momentum)));
    };
    move(this.movingMean, moments.mean);
    move(this.movingVariance, moments.variance);
    return normalizeBatch(y, moments, gamma, beta, EPSILON);
  }

  protected override normTensors(): NormTensors {
    const { gamma, beta, movingMean, movingVariance } = this;
    return {
      gamma: gamma.read(),
      beta: beta.read(),
      mean: movingMean.read(),
      variance: movingVariance.read(),
    };
  }

  override getConfig(): serialization.ConfigDict {
    return { ...super.getConfig(), momentum: this.momentum };
  }
}
serialization.registerClass(DSConvBlock);

function halfKernel(kernelSize: DSConv2DArgs['kernelSize'], dilation: number | number[]): number {
  const sides = typeof kernelSize === 'number' ? [kernelSize] : [...kernelSize];
  const rates = typeof dilation === 'number' ? [dilation] : [...dilation];
  return Math.floor((Math.max(...rates) * (Math.max(...sides) - 1) + 1) / 2);
}

/** Convolution, batch normalization and activation in one layer. */
export function dsConvBlock(args: DSConvBlockArgs): DSConvBlock {
  return new DSConvBlock(args);
}

import type { ConvGeometry } from '@dsconv/core';
import { InvalidArgumentError } from '@dsconv/core';
import { serialization, type Tensor4D } from '@tensorflow/tfjs-core';
import { type LayerVariable, layers } from '@tensorflow/tfjs-layers';
import { convolution } from '../convolution.js';
import type { FilterShape } from '../filter/partition.js';
import { DSConvolution } from './ds-convolution.js';
import type { LayerPadding, QuantizationArgs, ShifterArgs } from './settings.js';

type Conv2dArgs = Parameters<typeof layers.conv2d>[0];

/** Arguments of `tf.layers.conv2d`, channels last, and how to quantize. */
export interface DSConv2DArgs
  extends Omit<Conv2dArgs, 'padding' | 'dataFormat'>,
    QuantizationArgs,
    ShifterArgs {
  /** Default 'valid'. */
  padding?: LayerPadding;
  /** Groups the input and output channels are divided into. Default 1. */
  groups?: number;
}

/** Trainable convolution with a quantized filter over block-floating-point activations. */
export class DSConv2D extends DSConvolution {
  /** @nocollapse */
  static readonly className: string = 'DSConv2D';
  protected readonly kind = 'conv2d';
  private readonly filters: number;

  constructor(args: DSConv2DArgs) {
    const { bits = 4, blockSize = 64, activationBits = 8, kdsBias = false, cds = false, perChannel } = args;
    const {
      padding = 'valid',
      groups = 1,
      scaleFormat = 'float16',
      scales = kdsBias ? 'learned' : 'fitted',
      ...template
    } = args;
    super(args, layers.conv2d({ ...template, padding: 'valid', name: TEMPLATE } as Conv2dArgs), {
      bits,
      blockSize,
      activationBits,
      scales,
      scaleFormat,
      padding,
      groups,
      kdsBias,
      cds,
      perChannel,
    });
    this.filters = args.filters;
    if (this.filters % groups !== 0) {
      throw new InvalidArgumentError(
        `groups is ${groups}; expected a divisor of the ${this.filters} filters`,
      );
    }
  }

  protected kernelShape(channels: number): FilterShape {
    const [kh, kw] = (this.template as unknown as { kernelSize: [number, number] }).kernelSize;
    return [kh, kw, channels / this.settings.groups, this.filters];
  }

  protected addKernel(shape: number[]): LayerVariable {
    const { kernelInitializer, kernelRegularizer, kernelConstraint } = this
      .template as unknown as KernelParts;
    return this.addWeight(
      'kernel',
      shape,
      'float32',
      kernelInitializer,
      kernelRegularizer,
      true,
      kernelConstraint,
    );
  }

  protected outputChannels(): number {
    return this.filters;
  }

  protected convolve(x: Tensor4D, filter: Tensor4D, geometry: ConvGeometry): Tensor4D {
    return convolution(x, filter, geometry);
  }
}
serialization.registerClass(DSConv2D);

/** Name of the Keras layer inside, so that it takes none of the numbers that users' layers are named with. */
const TEMPLATE = 'template';

type AddWeight = Parameters<layers.Layer['addWeight']>;

interface KernelParts {
  kernelInitializer: AddWeight[3];
  kernelRegularizer: AddWeight[4];
  kernelConstraint: AddWeight[6];
}

/** `tf.layers.conv2d` with a quantized filter. Input and output as there, `[batch, height, width, channels]`. */
export function dsConv2d(args: DSConv2DArgs): DSConv2D {
  return new DSConv2D(args);
}

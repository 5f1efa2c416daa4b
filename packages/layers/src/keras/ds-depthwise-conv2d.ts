import type { ConvGeometry } from '@dsconv/core';
import { serialization, type Tensor4D } from '@tensorflow/tfjs-core';
import { type LayerVariable, layers } from '@tensorflow/tfjs-layers';
import { depthwiseConvolution } from '../convolution.js';
import type { FilterShape } from '../filter/partition.js';
import { DSConvolution } from './ds-convolution.js';
import type { LayerPadding, QuantizationArgs } from './settings.js';

type DepthwiseArgs = Parameters<typeof layers.depthwiseConv2d>[0];

/** Arguments of `tf.layers.depthwiseConv2d`, channels last, and how to quantize. */
export interface DSDepthwiseConv2DArgs
  extends Omit<DepthwiseArgs, 'padding' | 'dataFormat'>,
    QuantizationArgs {
  /** Default 'valid'. */
  padding?: LayerPadding;
}

/** Trainable depthwise convolution, one scale per output channel. */
export class DSDepthwiseConv2D extends DSConvolution {
  /** @nocollapse */
  static readonly className = 'DSDepthwiseConv2D';
  protected readonly kind = 'depthwise';
  private readonly multiplier: number;

  constructor(args: DSDepthwiseConv2DArgs) {
    const {
      bits = 8,
      blockSize = 64,
      activationBits = 8,
      scales = 'fitted',
      scaleFormat = 'float16',
      padding = 'valid',
      ...template
    } = args;
    const keras = layers.depthwiseConv2d({
      ...template,
      padding: 'valid',
      name: 'template',
    } as DepthwiseArgs);
    super(args, keras, {
      bits,
      blockSize,
      activationBits,
      scales,
      scaleFormat,
      padding,
      groups: 1,
      kdsBias: false,
      cds: false,
      perChannel: true,
    });
    this.multiplier = args.depthMultiplier ?? 1;
  }

  protected kernelShape(channels: number): FilterShape {
    const [kh, kw] = (this.template as unknown as { kernelSize: [number, number] }).kernelSize;
    return [kh, kw, channels, this.multiplier];
  }

  protected addKernel(shape: number[]): LayerVariable {
    const { depthwiseInitializer, depthwiseRegularizer, depthwiseConstraint } = this
      .template as unknown as DepthwiseParts;
    return this.addWeight(
      'depthwise_kernel',
      shape,
      'float32',
      depthwiseInitializer,
      depthwiseRegularizer,
      true,
      depthwiseConstraint,
    );
  }

  protected outputChannels(channels: number): number {
    return channels * this.multiplier;
  }

  protected convolve(x: Tensor4D, filter: Tensor4D, geometry: ConvGeometry): Tensor4D {
    return depthwiseConvolution(x, filter, geometry);
  }

  override getConfig(): serialization.ConfigDict {
    const { groups: _, kdsBias: __, cds: ___, perChannel: ____, ...config } = super.getConfig();
    return config;
  }
}
serialization.registerClass(DSDepthwiseConv2D);

type AddWeight = Parameters<layers.Layer['addWeight']>;

interface DepthwiseParts {
  depthwiseInitializer: AddWeight[3];
  depthwiseRegularizer: AddWeight[4];
  depthwiseConstraint: AddWeight[6];
}

/** `tf.layers.depthwiseConv2d` with a quantized filter. Input and output as there. */
export function dsDepthwiseConv2d(args: DSDepthwiseConv2DArgs): DSDepthwiseConv2D {
  return new DSDepthwiseConv2D(args);
}

/** Layers of a converted LayersModel: convolutions with a quantized filter that does not learn. */
import { type DSConvFilter, type FilterKind, InvalidArgumentError, packedByteLength } from '@dsconv/core';
import {
  type DataId,
  engine,
  reshape,
  type serialization,
  type Tensor,
  type Tensor4D,
  tensor,
  tidy,
  zeros,
} from '@tensorflow/tfjs-core';
import { LayerVariable, layers, type Shape } from '@tensorflow/tfjs-layers';
import { type ConvolveArguments, convolve } from '../../graph/runtime/convolve.js';
import { filterFromBytes } from '../../graph/runtime/filter-bytes.js';
import { checkFrozenConfig, type FrozenConfig } from './frozen-config.js';
import { FROZEN_CLASSES } from './names.js';

/** A convolution, or a dense layer, with a filter at its bits. Weights: `filter` (dtype 'string', see `filterFromBytes`), `bias`, `slopes`. */
export abstract class FrozenLayer extends layers.Layer {
  protected readonly settings: FrozenConfig;
  private filterVariable!: LayerVariable;
  private biasVariable: LayerVariable | null = null;
  private slopesVariable: LayerVariable | null = null;
  private stored: { filter: DSConvFilter; from: DataId } | null = null;
  private readonly behind: layers.Layer | null;

  /** @param args as {@link getConfig} gave them */
  constructor(
    args: Readonly<Record<string, unknown>>,
    private readonly kind: FilterKind,
  ) {
    super({ ...args, trainable: false });
    this.settings = checkFrozenConfig(args);
    const { outerActivation } = this.settings;
    this.behind =
      outerActivation === null
        ? null
        : layers.activation({ activation: outerActivation as 'relu', name: `${this.name}/activation` });
  }

  /** Output channels. */
  private get outputs(): number {
    const [, , inner, outer] = this.settings.filterShape;
    return this.kind === 'depthwise' ? inner * outer : outer;
  }

  override build(inputShape: Shape | Shape[]): void {
    const { hasBias, hasSlopes, filterShape, groups } = this.settings;
    const channels = (inputShape as Shape).at(-1);
    const wanted = this.kind === 'depthwise' ? filterShape[2] : filterShape[2] * groups;
    if (channels !== null && channels !== wanted) {
      throw new InvalidArgumentError(
        `layer '${this.name}' reads [${inputShape}]; expected ${wanted} channels, the last dimension`,
      );
    }
    const vector = (name: string): LayerVariable => variable(zeros([this.outputs]), name);
    this.filterVariable = variable(this.emptyFilter(), 'filter');
    if (hasBias) this.biasVariable = vector('bias');
    if (hasSlopes) this.slopesVariable = vector('slopes');
    this.nonTrainableWeights = [this.filterVariable, this.biasVariable, this.slopesVariable].filter(
      (each) => each !== null,
    );
    this.built = true;
  }

  /** A filter of zeros until weights are loaded. */
  private emptyFilter(): Tensor {
    const { bits, filterShape } = this.settings;
    if (bits === 0) return zeros(filterShape);
    const size = filterShape.reduce((product, d) => product * d, 1);
    const none = new Uint8Array(0);
    const elements = [
      new Uint8Array(packedByteLength(size, bits)),
      none,
      none,
      new Uint8Array(4 * this.outputs),
      none,
    ];
    return tensor(elements as unknown as string[], [elements.length], 'string');
  }

  /** The filter that the weight holds now; null where it is a float tensor. It shares the weight's bytes. */
  filter(): DSConvFilter | null {
    const { bits, blockSize, filterShape } = this.settings;
    if (bits === 0) return null;
    const { dataId } = this.filterVariable.read();
    if (this.stored?.from !== dataId) {
      this.stored?.filter.dispose();
      // `dataSync()` would decode the bytes as text.
      const elements = engine().readSync(dataId) as unknown as Uint8Array[];
      const filter = filterFromBytes(elements, { kind: this.kind, shape: filterShape, bits, blockSize });
      this.stored = { filter, from: dataId };
    }
    return this.stored.filter;
  }

  override call(inputs: Tensor | Tensor[], kwargs: { [key: string]: unknown }): Tensor {
    return tidy(() => {
      this.invokeCallHook(inputs, kwargs);
      const x = Array.isArray(inputs) ? inputs[0]! : inputs;
      const y = this.convolve(x, this.filter() ?? (this.filterVariable.read() as Tensor4D), this.arguments());
      return this.behind ? (this.behind.call(y, {}) as Tensor) : y;
    });
  }

  protected convolve(x: Tensor, filter: DSConvFilter | Tensor4D, options: ConvolveArguments): Tensor {
    return convolve(x, filter, options);
  }

  private arguments(): ConvolveArguments {
    const { strides, dilations, padding, explicitPaddings, groups, activation, ...rest } = this.settings;
    const [top, bottom, left, right] = explicitPaddings as [number, number, number, number];
    return {
      depthwise: this.kind === 'depthwise',
      strides,
      dilations,
      pad:
        padding === 'explicit'
          ? [
              [top, bottom],
              [left, right],
            ]
          : padding,
      groups,
      activation,
      leakyreluAlpha: rest.leakyreluAlpha,
      activationBits: rest.activationBits === 0 ? null : rest.activationBits,
      bias: this.biasVariable?.read(),
      preluActivationWeights: this.slopesVariable?.read(),
    };
  }

  override computeOutputShape(inputShape: Shape | Shape[]): Shape {
    const [batch, height, width] = inputShape as Shape;
    return [batch!, this.extent(height!, 0), this.extent(width!, 1), this.outputs];
  }

  private extent(size: number | null, axis: 0 | 1): number | null {
    const { padding, explicitPaddings, strides, dilations, filterShape } = this.settings;
    if (size === null) return null;
    if (padding === 'same') return Math.ceil(size / strides[axis]);
    const pads = padding === 'valid' ? 0 : explicitPaddings[2 * axis]! + explicitPaddings[2 * axis + 1]!;
    const window = dilations[axis] * (filterShape[axis] - 1) + 1;
    return Math.floor((size + pads - window) / strides[axis]) + 1;
  }

  override getConfig(): serialization.ConfigDict {
    return { ...super.getConfig(), ...this.settings } as serialization.ConfigDict;
  }

  protected override disposeWeights(): number {
    this.stored?.filter.dispose();
    this.stored = null;
    return super.disposeWeights();
  }
}

/** Takes the tensor's place. */
function variable(initial: Tensor, name: string): LayerVariable {
  const made = new LayerVariable(initial, initial.dtype, name, false);
  initial.dispose();
  return made;
}

/** A convolution of `[batch, height, width, channels]`. */
export class FrozenDSConv2D extends FrozenLayer {
  /** @nocollapse */
  static readonly className: string = FROZEN_CLASSES.conv2d;

  constructor(args: Readonly<Record<string, unknown>>) {
    super(args, 'conv2d');
  }
}

/** A depthwise convolution of `[batch, height, width, channels]`. */
export class FrozenDSDepthwiseConv2D extends FrozenLayer {
  /** @nocollapse */
  static readonly className: string = FROZEN_CLASSES.depthwise;

  constructor(args: Readonly<Record<string, unknown>>) {
    super(args, 'depthwise');
  }
}

/** A product of the last dimension with a matrix, as a convolution of 1 × 1. */
export class FrozenDSDense extends FrozenLayer {
  /** @nocollapse */
  static readonly className: string = FROZEN_CLASSES.dense;

  constructor(args: Readonly<Record<string, unknown>>) {
    super(args, 'conv2d');
  }

  protected override convolve(
    x: Tensor,
    filter: DSConvFilter | Tensor4D,
    options: ConvolveArguments,
  ): Tensor {
    if (x.rank === 2 || x.rank === 4) return convolve(x, filter, options);
    const [batch, ...others] = x.shape;
    const channels = others.pop()!;
    const y = convolve(reshape(x, [batch!, others.reduce((a, b) => a * b, 1), 1, channels]), filter, options);
    return reshape(y, [batch!, ...others, y.shape[3]!]);
  }

  override computeOutputShape(inputShape: Shape | Shape[]): Shape {
    return [...(inputShape as Shape).slice(0, -1), this.settings.filterShape[3]];
  }
}

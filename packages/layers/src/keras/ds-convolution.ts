/** What both trainable layers share: rounding of inputs and filters, scales that follow the weights, Keras configuration. */
import type { TrainedConvolution } from '@dsconv/converter/freeze';
import {
  bfpRound,
  type ConvGeometry,
  type FilterKind,
  InvalidArgumentError,
  type Padding,
  resolveGeometry,
} from '@dsconv/core';
import {
  add,
  div,
  mul,
  ones,
  type serialization,
  sub,
  type Tensor,
  type Tensor4D,
  tidy,
  zeros,
} from '@tensorflow/tfjs-core';
import { initializers, type LayerVariable, layers, type Shape } from '@tensorflow/tfjs-layers';
import { fakeQuantize, fitScales, refitScales } from '../filter/fake-quantize.js';
import { type FilterShape, type Partition, partitionOf, scaleShape } from '../filter/partition.js';
import { checkBits, type ScaleTraining } from '../filter/quantized-filter.js';
import type { NormValues } from '../network/batch-norm.js';
import { checkSettings, type Settings } from './settings.js';
import { trainedConvolution } from './trained-convolution.js';

/** The Keras layer whose arguments are validated and serialized by TensorFlow.js itself. */
export type Template = ReturnType<typeof layers.conv2d> | ReturnType<typeof layers.depthwiseConv2d>;

interface TemplateParts {
  kernelSize: [number, number];
  strides: [number, number];
  dilationRate: [number, number];
  useBias: boolean;
  activation: { apply(x: Tensor): Tensor };
  biasInitializer: Parameters<layers.Layer['addWeight']>[3];
  biasRegularizer: Parameters<layers.Layer['addWeight']>[4];
  biasConstraint: Parameters<layers.Layer['addWeight']>[6];
}

/** What derives from them may compute something else. */
const OWN_CLASSES: ReadonlySet<string> = new Set(['DSConv2D', 'DSDepthwiseConv2D', 'DSConvBlock']);

/** Shadow weights are the variables; the forward pass sees them rounded. NUMERICS §6. */
export abstract class DSConvolution extends layers.Layer {
  protected abstract readonly kind: FilterKind;
  protected kernel!: LayerVariable;
  protected bias: LayerVariable | null = null;
  private kds!: LayerVariable;
  private kdsBias: LayerVariable | null = null;
  private cds: LayerVariable | null = null;
  private cdsBias: LayerVariable | null = null;
  private partition!: Partition;

  protected constructor(
    args: ConstructorParameters<typeof layers.Layer>[0],
    protected readonly template: Template,
    protected settings: Settings,
  ) {
    super(args);
    checkSettings(settings);
  }

  protected abstract kernelShape(channels: number): FilterShape;
  protected abstract addKernel(shape: number[]): LayerVariable;
  protected abstract outputChannels(channels: number): number;
  protected abstract convolve(x: Tensor4D, filter: Tensor4D, geometry: ConvGeometry): Tensor4D;

  /** Weight bits. */
  get bits(): number {
    return this.settings.bits;
  }

  /** How the scales are trained. */
  get scaleTraining(): ScaleTraining {
    return this.settings.scales;
  }

  override build(inputShape: Shape | Shape[]): void {
    const shape = oneShape(inputShape);
    const channels = shape.at(-1);
    if (shape.length !== 4 || typeof channels !== 'number') {
      throw new InvalidArgumentError(
        `layer '${this.name}' reads the shape [${shape}]; expected [batch, height, width, channels] with known channels`,
      );
    }
    const { kind, settings } = this;
    if (kind === 'conv2d' && channels % settings.groups !== 0) {
      throw new InvalidArgumentError(
        `groups of layer '${this.name}' is ${settings.groups}; expected a divisor of its ${channels} input channels`,
      );
    }
    const filter = this.kernelShape(channels);
    this.partition = partitionOf(kind, filter, settings.blockSize, settings.perChannel, settings.scaleFormat);
    if (this.partition.perChannel && (settings.kdsBias || settings.cds)) {
      throw new InvalidArgumentError(
        `kdsBias or cds is asked for in layer '${this.name}', whose filter is quantized per channel; expected perChannel: false with them`,
      );
    }
    this.kernel = this.addKernel([...filter]);
    const outputs = this.outputChannels(channels);
    const parts = this.template as unknown as TemplateParts;
    if (parts.useBias) {
      const { biasInitializer, biasRegularizer, biasConstraint } = parts;
      this.bias = this.addWeight(
        'bias',
        [outputs],
        'float32',
        biasInitializer,
        biasRegularizer,
        true,
        biasConstraint,
      );
    }
    this.addShifters(outputs);
    this.built = true;
    this.fitScales();
  }

  private addShifters(outputs: number): void {
    const { settings } = this;
    const [zero, one] = [initializers.zeros(), initializers.ones()];
    const perBlock = scaleShape(this.partition);
    this.kds = this.addWeight('kds', perBlock, 'float32', zero, undefined, settings.scales === 'learned');
    if (settings.kdsBias) this.kdsBias = this.addWeight('kds_bias', perBlock, 'float32', zero);
    if (settings.cds) {
      this.cds = this.addWeight('cds', [outputs], 'float32', one);
      this.cdsBias = this.addWeight('cds_bias', [outputs], 'float32', zero);
    }
  }

  /** Fits the scales to the weights from scratch, such as after `setWeights` with weights of another layer. Shifts begin anew. */
  fitScales(): void {
    tidy(() => {
      if (this.cds && this.cdsBias) {
        this.cds.write(ones(this.cds.shape as number[]));
        this.cdsBias.write(zeros(this.cdsBias.shape as number[]));
      }
      this.kdsBias?.write(zeros(this.kdsBias.shape as number[]));
      this.kds.write(fitScales(this.kernel.read() as Tensor4D, this.bits, this.partition));
    });
  }

  /** Changes the weight bits, as schedules do, and fits the scales anew. */
  setBits(bits: number): void {
    checkBits(bits);
    this.settings = { ...this.settings, bits };
    if (this.built) this.fitScales();
  }

  /** Keeps the scales as they are from now on. */
  freezeScales(): void {
    if (this.settings.scales === 'learned') this.kds.trainable = false;
    this.settings = { ...this.settings, scales: 'frozen' };
  }

  override call(inputs: Tensor | Tensor[], kwargs: { training?: boolean }): Tensor {
    return tidy(() => {
      const x = (Array.isArray(inputs) ? inputs[0]! : inputs) as Tensor4D;
      const { settings, partition } = this;
      if (kwargs?.training && settings.scales === 'fitted') {
        this.kds.write(refitScales(this.unshifted(), this.kds.read(), settings.bits, partition));
      }
      const geometry = this.geometryFor(x.shape as [number, number, number, number]);
      const { activationBits, blockSize } = settings;
      const rounded =
        activationBits === null
          ? x
          : bfpRound(x, {
              bits: activationBits,
              blockSize,
              groups: this.kind === 'conv2d' ? settings.groups : 1,
            });
      const y = this.convolve(rounded, this.roundedFilter(), geometry);
      const shifted = this.normalize(y, kwargs?.training === true);
      return (this.template as unknown as TemplateParts).activation.apply(shifted);
    });
  }

  /** What comes between the convolution and the activation: the bias. */
  protected normalize(y: Tensor4D, _training: boolean): Tensor4D {
    return this.bias ? add(y, this.bias.read()) : y;
  }

  /**
   * Takes over the weights of a layer that is not quantized, and fits the scales to them.
   *
   * @param kernel in the shape of this layer's
   */
  adopt(kernel: Tensor, bias: Tensor | null): void {
    this.kernel.write(kernel);
    if (bias) this.bias?.write(bias);
    this.fitScales();
  }

  /** ŵ, with gradients to everything that makes it. */
  private roundedFilter(): Tensor4D {
    const { bits } = this.settings;
    const rounded = fakeQuantize(
      this.unshifted(),
      this.kds.read(),
      this.kdsBias?.read() ?? null,
      bits,
      this.partition,
    );
    if (!this.cds || !this.cdsBias) return rounded;
    return add(mul(rounded, this.cds.read()), this.cdsBias.read());
  }

  /** What the blocks have to come near to: the weights before the shifters of the channels. */
  private unshifted(): Tensor4D {
    const w = this.kernel.read() as Tensor4D;
    return this.cds && this.cdsBias ? (div(sub(w, this.cdsBias.read()), this.cds.read()) as Tensor4D) : w;
  }

  /**
   * What the layer has learned, as freezing takes it: the very integers and scales of its forward pass. A clause says why it has to stay as it is.
   *
   * @throws InvalidArgumentError when the layer has no weights yet
   * @throws NotFiniteError naming the weight that is NaN or infinite
   */
  async trainedConvolution(): Promise<TrainedConvolution | string> {
    if (!this.built) {
      throw new InvalidArgumentError(
        `layer '${this.name}' has no weights yet; expected a model that was built or trained`,
      );
    }
    const className = this.getClassName();
    if (!OWN_CLASSES.has(className)) {
      return `its class ${className} is not of @dsconv/layers and may compute something else`;
    }
    const { activation } = this.template.getConfig() as { activation: string };
    return trainedConvolution(this.name, this.state, activation);
  }

  /** The layer's own batch normalization; null for none. */
  protected normTensors(): NormTensors | null {
    return null;
  }

  /** Everything that freezing needs; the tensors belong to the layer. */
  get state(): LayerState {
    return {
      partition: this.partition,
      settings: this.settings,
      kernel: this.kernel.read() as Tensor4D,
      unshifted: () => this.unshifted(),
      kds: this.kds.read(),
      kdsBias: this.kdsBias?.read() ?? null,
      cds: this.cds?.read() ?? null,
      cdsBias: this.cdsBias?.read() ?? null,
      bias: this.bias?.read() ?? null,
      norm: this.normTensors(),
      strides: (this.template as unknown as TemplateParts).strides,
      dilations: (this.template as unknown as TemplateParts).dilationRate,
    };
  }

  private geometryFor(inputShape: readonly [number, number, number, number]): ConvGeometry {
    const { strides, dilationRate, kernelSize } = this.template as unknown as TemplateParts;
    return resolveGeometry({
      inputShape,
      kernelSize,
      outChannels: this.outputChannels(inputShape[3]),
      strides,
      dilations: dilationRate,
      pad: this.settings.padding as Padding,
      groups: this.kind === 'conv2d' ? this.settings.groups : 1,
    });
  }

  override computeOutputShape(inputShape: Shape | Shape[]): Shape {
    const [batch, height, width, channels] = oneShape(inputShape) as [
      number | null,
      number | null,
      number | null,
      number,
    ];
    const known = this.geometryFor([1, height ?? FAR, width ?? FAR, channels]);
    return [
      batch,
      height === null ? null : known.outHeight,
      width === null ? null : known.outWidth,
      known.outChannels,
    ];
  }

  override getConfig(): serialization.ConfigDict {
    // What the template says about itself, its name left out, and what it does not know.
    const { name: _, dataFormat: __, ...template } = this.template.getConfig();
    const { perChannel, ...settings } = this.settings;
    return {
      ...template,
      ...super.getConfig(),
      ...settings,
      ...(perChannel === undefined ? {} : { perChannel }),
    } as serialization.ConfigDict;
  }
}

export type NormTensors = { [K in keyof NormValues]: Tensor };

/** Tensors and settings of a built layer. */
export interface LayerState {
  partition: Partition;
  settings: Readonly<Settings>;
  kernel: Tensor4D;
  unshifted(): Tensor4D;
  kds: Tensor;
  kdsBias: Tensor | null;
  cds: Tensor | null;
  cdsBias: Tensor | null;
  bias: Tensor | null;
  norm: NormTensors | null;
  strides: readonly [number, number];
  dilations: readonly [number, number];
}

/** Stands for a size that is not known, so that the other one can be resolved. */
const FAR = 2 ** 20;

function oneShape(shape: Shape | Shape[]): Shape {
  return (Array.isArray(shape[0]) ? shape[0] : shape) as Shape;
}

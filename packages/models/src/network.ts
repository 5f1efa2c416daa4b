import { DisposedError, DSConvFilter, InvalidArgumentError } from '@dsconv/core';
import {
  keep,
  softmax,
  type Tensor1D,
  type Tensor2D,
  type Tensor4D,
  tensor1d,
  tensor4d,
  tidy,
} from '@tensorflow/tfjs-core';
import type { Architecture, LayerParameters, LayerSpec } from './architecture.js';
import { checkWeights } from './check-weights.js';
import { type Classification, type ClassifyOptions, PictureClassifier } from './classify-pictures.js';
import { checkInputSize } from './input-size.js';
import type { Picture, Preprocessing } from './preprocessing.js';

/** Numbers of one layer as they are stored, independent of any backend. */
export interface LayerWeights {
  /** Float weights in the order of the layer's shape, or a quantized filter. */
  filter: Float32Array | DSConvFilter;
  /** `[outChannels]`, or null for none. */
  bias: Float32Array | null;
  /** Signal-to-noise ratio of the quantized filter against the float weights it was made from, in dB; null when not known or infinite. */
  snrDb?: number | null;
  /** What the training set was like behind this layer, where a folded batch normalization tells; not stored in files. */
  statistics?: OutputStatistics | null;
}

/** Mean and standard deviation of every output channel before residual and activation: β and |γ| of the batch normalization. */
export interface OutputStatistics {
  mean: Float32Array;
  deviation: Float32Array;
}

/** Where the numbers come from. */
export interface NetworkMetadata {
  /** Name of the float network this one was made from, such as a file name. */
  source: string | null;
  /** SHA-256 of that file, hexadecimal. */
  sourceSha256: string | null;
}

export interface NetworkOptions {
  architecture: Architecture;
  /** One entry for each of the architecture's layers. */
  weights: ReadonlyMap<string, LayerWeights>;
  preprocessing: Preprocessing;
  /** Names of the classes in index order; empty when not known. */
  labels?: readonly string[];
  /** Mantissa bits of the activations that quantized filters read, 2 to 8, or null for float activations. Default 8. */
  activationBits?: number | null;
  metadata?: Partial<NetworkMetadata>;
}

/**
 * A network with its numbers, float or quantized: the same forward function serves both.
 *
 * Tensors are made on the first use, on the backend that is current then, and kept until `dispose()`.
 */
export class Network {
  readonly architecture: Architecture;
  readonly preprocessing: Preprocessing;
  readonly labels: readonly string[];
  readonly activationBits: number | null;
  readonly metadata: NetworkMetadata;
  private stored: ReadonlyMap<string, LayerWeights> | null;
  private tensors: Map<string, LayerParameters> | null = null;
  private readonly knownSizes = new Set<string>();
  private classifier: PictureClassifier | null = null;

  /**
   * @throws InvalidArgumentError when a layer is missing, unknown or has another number of values than the architecture says
   * @throws InvalidFilterError when a quantized filter has another shape or kind
   */
  constructor(options: NetworkOptions) {
    const { architecture, weights, labels = [], activationBits = 8 } = options;
    checkWeights(architecture, weights);
    if (labels.length !== 0 && labels.length !== architecture.classes) {
      throw new InvalidArgumentError(
        `labels has ${labels.length} names; expected none or ${architecture.classes}, one per class`,
      );
    }
    if (
      activationBits !== null &&
      !(Number.isInteger(activationBits) && activationBits >= 2 && activationBits <= 8)
    ) {
      throw new InvalidArgumentError(
        `activationBits is ${activationBits}; expected an integer from 2 to 8, or null`,
      );
    }
    if (options.preprocessing.channels !== architecture.channels) {
      throw new InvalidArgumentError(
        `preprocessing.channels is ${options.preprocessing.channels}; expected ${architecture.channels} as in the architecture`,
      );
    }
    this.architecture = architecture;
    this.preprocessing = options.preprocessing;
    this.labels = labels;
    this.activationBits = activationBits;
    this.metadata = {
      source: options.metadata?.source ?? null,
      sourceSha256: options.metadata?.sourceSha256 ?? null,
    };
    this.stored = weights;
  }

  /** Numbers of every layer by its name. Do not write to them. */
  get weights(): ReadonlyMap<string, LayerWeights> {
    if (this.stored === null) {
      throw new DisposedError(`network '${this.architecture.name}' was used after dispose()`);
    }
    return this.stored;
  }

  /** The layers as tensors and filters, made when first asked for. They belong to the network. */
  get parameters(): ReadonlyMap<string, LayerParameters> {
    const weights = this.weights;
    this.tensors ??= new Map(
      this.architecture.layers.map((layer) => [layer.name, toTensors(layer, weights.get(layer.name)!)]),
    );
    return this.tensors;
  }

  /** True when at least one layer has a quantized filter. */
  get isQuantized(): boolean {
    for (const { filter } of this.weights.values()) if (filter instanceof DSConvFilter) return true;
    return false;
  }

  /** Bytes of all stored numbers: kernels with their scales, and biases. */
  get byteLength(): number {
    let bytes = this.kernelByteLength;
    for (const { bias } of this.weights.values()) bytes += bias?.byteLength ?? 0;
    return bytes;
  }

  /** Bytes of the stored kernels: weights, packed or float, and scales. */
  get kernelByteLength(): number {
    let bytes = 0;
    for (const { filter } of this.weights.values()) bytes += filter.byteLength;
    return bytes;
  }

  /**
   * @param x float32 `[N, height, width, channels]`, as `preprocess` makes it; any size the layers can read
   * @returns logits `[N, classes]`
   * @throws InvalidArgumentError when rank, dtype or channels of `x` do not fit, or its pictures are too small
   * @throws DisposedError after `dispose()`
   */
  logits(x: Tensor4D): Tensor2D {
    const layers = this.parameters;
    const { channels } = this.architecture;
    if (x.rank !== 4 || x.shape[3] !== channels || x.dtype !== 'float32') {
      throw new InvalidArgumentError(
        `x is ${x.dtype} of shape [${x.shape}]; expected float32 [batch, height, width, ${channels}]`,
      );
    }
    this.checkSize(x.shape[1], x.shape[2]);
    const { activationBits } = this;
    return tidy(() => this.architecture.forward(x, { layers, activationBits }));
  }

  /** Class probabilities `[N, classes]`: the softmax of {@link logits}. */
  predict(x: Tensor4D): Tensor2D {
    return tidy(() => softmax(this.logits(x)));
  }

  /**
   * What a picture shows: resized, normalized, computed and sorted in one call, several pictures at once where an array is given. From its second
   * use on, a batch of the same size runs as a plan where the current backend has them.
   *
   * @returns the most probable classes first
   * @throws InvalidArgumentError when something is no picture, saying which, or an option is out of range
   * @throws NotFiniteError when the network computes NaN
   */
  classify(picture: Picture, options?: ClassifyOptions): Promise<Classification[]>;
  classify(pictures: readonly Picture[], options?: ClassifyOptions): Promise<Classification[][]>;
  async classify(
    given: Picture | readonly Picture[],
    options: ClassifyOptions = {},
  ): Promise<Classification[] | Classification[][]> {
    this.classifier ??= new PictureClassifier(this);
    if (Array.isArray(given)) return this.classifier.run(given, options);
    return (await this.classifier.run([given as Picture], options))[0]!;
  }

  get isDisposed(): boolean {
    return this.stored === null;
  }

  /** Frees tensors, filters and every backend's packing of them. Using the network afterwards is a DisposedError. */
  dispose(): void {
    if (this.stored === null) return;
    for (const { filter } of this.stored.values()) if (filter instanceof DSConvFilter) filter.dispose();
    for (const { filter, bias } of this.tensors?.values() ?? []) {
      filter.dispose();
      bias?.dispose();
    }
    this.classifier?.dispose();
    this.classifier = null;
    this.stored = null;
    this.tensors = null;
  }

  private checkSize(height: number, width: number): void {
    const key = `${height}×${width}`;
    if (this.knownSizes.has(key)) return;
    checkInputSize(this.architecture, { height, width });
    this.knownSizes.add(key);
  }
}

/** Kept, because a network may be used for the first time inside someone's `tidy`. */
function toTensors(layer: LayerSpec, { filter, bias }: LayerWeights): LayerParameters {
  return {
    filter:
      filter instanceof DSConvFilter
        ? filter
        : (keep(tensor4d(filter, [...layer.shape], 'float32')) as Tensor4D),
    bias: bias ? (keep(tensor1d(bias, 'float32')) as Tensor1D) : null,
  };
}

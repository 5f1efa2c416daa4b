/** The weights of a LayersModel's layers, found by the names that TensorFlow.js finds them by. */
import { nearest } from '@dsconv/models';
import { type StoredWeight, weightValues } from '../graph/stored-weights.js';
import { LayerError } from './layer-error.js';

interface Owner {
  name: string;
  className: string;
}

/** Weights by layer and part. Remembers which were taken, for they are not written again. */
export class LayerWeights {
  private readonly names = new Map<string, string>();
  readonly taken = new Set<string>();

  constructor(
    readonly weights: ReadonlyMap<string, StoredWeight>,
    private readonly file: string,
  ) {
    for (const name of weights.keys()) this.names.set(name, name);
    // TensorFlow 2 puts the name of a cell between layer and part; TensorFlow.js passes over it.
    for (const name of weights.keys()) {
      const tokens = name.split('/');
      const short = [...tokens.slice(0, -2), tokens.at(-1)].join('/');
      if (!this.names.has(short)) this.names.set(short, name);
    }
  }

  /** Whether the layer has the part. */
  has({ name }: Owner, part: string): boolean {
    return this.names.has(`${name}/${part}`);
  }

  /**
   * A weight as float32.
   *
   * @throws LayerError when it is missing (with the nearest names) or no numbers
   */
  get(layer: Owner, part: string): { shape: readonly number[]; values: Float32Array } {
    const wanted = `${layer.name}/${part}`;
    const name = this.names.get(wanted);
    if (name === undefined) {
      const similar = nearest(wanted, this.weights.keys()).map((found) => `'${found}'`);
      throw new LayerError(
        this.file,
        layer,
        `has no weight '${wanted}' in weightsManifest; the nearest names are ${similar.join(', ') || 'none'}`,
      );
    }
    const weight = this.weights.get(name)!;
    const values = weightValues(weight);
    if (!values) {
      throw new LayerError(
        this.file,
        layer,
        `has the weight '${name}' of dtype ${weight.dtype}; expected float32`,
      );
    }
    return { shape: weight.shape, values };
  }

  /** A weight of one value per channel. @throws LayerError as {@link get}, or when it has another length */
  vector(layer: Owner, part: string, channels: number): Float32Array {
    const { shape, values } = this.get(layer, part);
    if (values.length === channels) return values;
    throw new LayerError(
      this.file,
      layer,
      `has the weight '${layer.name}/${part}' of shape [${shape}]; expected [${channels}]`,
    );
  }

  /** The layer is no more. */
  take({ name }: Owner): void {
    for (const [wanted, found] of this.names) {
      const part = wanted.startsWith(`${name}/`) ? wanted.slice(name.length + 1) : '';
      if (part !== '' && !part.includes('/')) this.taken.add(found);
    }
  }
}

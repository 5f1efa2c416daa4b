/** A network of the zoo whose numbers are variables. NUMERICS §6. */
import { DisposedError, InvalidArgumentError } from '@dsconv/core';
import { type LayerParameters, type LayerWeights, Network } from '@dsconv/models';
import {
  type Tensor2D,
  type Tensor4D,
  tensor1d,
  tensor4d,
  tidy,
  type Variable,
  variable,
} from '@tensorflow/tfjs-core';
import { checkBits, SCALE_TRAININGS, type ScaleTraining } from '../filter/quantized-filter.js';
import { scoped } from '../scoped.js';
import { TrainableLayer } from './trainable-layer.js';

export interface TrainableOptions {
  /**
   * The float network that the quantized one was made from: its weights become the shadow weights, and its batch normalizations can be restored. Its channels must not
   * have been scaled for rounding (`rangeScaling: false`). Without it training begins at the values that the integers stand for.
   */
  float?: Network;
  /** Default 'fitted'; layers with a bias per block are never fitted. */
  scales?: ScaleTraining;
  /**
   * 'frozen' leaves batch normalizations folded, as small rates need; 'restored' makes them layers with statistics of the batch again, wherever `float` tells
   * them. Default 'frozen'.
   */
  batchNorm?: 'frozen' | 'restored';
  /**
   * What weights and scales are measured in while an optimizer moves them: 'relative' to the size of their block, so that one rate of Adam suits all, or 'absolute', as
   * they are: what rates of gradient descent with momentum are told for. Default 'relative'.
   */
  units?: 'relative' | 'absolute';
}

/** Options of a forward pass. */
export interface PassOptions {
  /** Scales follow the weights, and batch normalizations use the batch. Default false. */
  training?: boolean;
  /**
   * Moves the running statistics of batch normalizations to this share of the batch's, and normalizes with the batch's, while nothing else changes. Default: not
   * at all, or by a tenth in training.
   */
  blend?: number;
  /** Called with what every layer gives, after its activation. Outputs then live as long as the caller's `tidy`. */
  onOutput?: (layer: string, output: Tensor4D) => void;
}

/**
 * A network in training. Forward passes compute with x̂ and ŵ in float32, so that the trained and the frozen network agree within NUMERICS' bounds; gradients pass
 * both roundings straight through.
 */
export class TrainableNetwork {
  /** The network it was made of, for everything but numbers. Not disposed of along with this one. */
  readonly source: Network;
  private layers: ReadonlyMap<string, TrainableLayer> | null;
  private readonly norms: ReadonlyMap<string, LayerParameters>;
  private normsFrozen = false;

  /**
   * @param network float or quantized; filters that are quantized are trained so
   * @throws InvalidArgumentError when `float` is another network or an option is unknown
   */
  constructor(network: Network, options: TrainableOptions = {}) {
    const { float, scales = 'fitted', batchNorm = 'frozen', units = 'relative' } = options;
    if (!SCALE_TRAININGS.includes(scales)) {
      throw new InvalidArgumentError(`scales is '${scales}'; expected one of ${SCALE_TRAININGS.join(', ')}`);
    }
    if (float && float.architecture.name !== network.architecture.name) {
      throw new InvalidArgumentError(
        `float is a ${float.architecture.name}; expected ${network.architecture.name} like the network`,
      );
    }
    this.source = network;
    const { architecture, weights, activationBits } = network;
    const specs = architecture.layers.filter(({ kind }) => kind !== 'norm');
    this.layers = new Map(
      specs.map((spec) => {
        const own = weights.get(spec.name)!;
        const from = float?.weights.get(spec.name);
        const statistics = from?.statistics ?? own.statistics ?? null;
        const shadow = from && from.filter instanceof Float32Array ? from.filter : null;
        const start = { weights: { ...own, statistics }, shadow, activationBits, scales };
        const how = { relativeUnits: units === 'relative', restoreNorm: batchNorm === 'restored' };
        return [spec.name, new TrainableLayer(spec, { ...start, ...how })];
      }),
    );
    this.norms = new Map(
      architecture.layers
        .filter(({ kind }) => kind === 'norm')
        .map(({ name, shape }) => [name, normVariables(shape, weights.get(name)!)]),
    );
  }

  private get live(): ReadonlyMap<string, TrainableLayer> {
    if (this.layers === null) {
      throw new DisposedError(`the training of '${this.source.architecture.name}' was used after dispose()`);
    }
    return this.layers;
  }

  /**
   * @param x float32 `[N, height, width, channels]`, as `preprocess` makes it
   * @returns logits `[N, classes]`
   */
  logits(x: Tensor4D, { training = false, blend, onOutput }: PassOptions = {}): Tensor2D {
    const layers = this.live;
    const pass = (): Tensor2D =>
      this.source.architecture.forward(x, {
        layers: this.norms,
        activationBits: this.source.activationBits,
        convolve: (input, spec, use) => {
          const y = layers
            .get(spec.name)!
            .forward(input, use, training, this.normsFrozen ? (blend ?? 0) : blend);
          onOutput?.(spec.name, y);
          return y;
        },
      });
    // Outputs that are handed out belong to the caller's scope.
    return onOutput ? pass() : tidy(pass);
  }

  /** What an optimizer moves. */
  get trainable(): Variable[] {
    return [...[...this.live.values()].flatMap((layer) => layer.trainable), ...this.normVariables];
  }

  /** Everything that changes in training, by name. */
  get state(): ReadonlyMap<string, Variable> {
    const norms = [...this.norms].flatMap(([name, { filter, bias }]): [string, Variable][] => [
      [`${name}/scale`, filter as unknown as Variable],
      [`${name}/shift`, bias as unknown as Variable],
    ]);
    return new Map([...[...this.live.values()].flatMap((layer) => layer.state), ...norms]);
  }

  private get normVariables(): Variable[] {
    return [...this.norms.values()].flatMap(({ filter, bias }) => [filter, bias] as unknown as Variable[]);
  }

  /** Layers by name. */
  get byName(): ReadonlyMap<string, TrainableLayer> {
    return this.live;
  }

  /**
   * Changes the weight bits of the layers that `choose` names, by default of all that have fewer than 8, and fits their scales from scratch.
   *
   * @throws InvalidArgumentError unless bits is an integer from 2 to 8
   */
  setBits(bits: number, choose: (layer: string, bits: number) => boolean = (_, old) => old < 8): void {
    checkBits(bits);
    for (const [name, layer] of this.live)
      if (layer.bits !== null && choose(name, layer.bits)) layer.setBits(bits);
  }

  /** Multiplies the shadow weights of all filters by `1 - share`. */
  shrinkFilters(share: number): void {
    for (const layer of this.live.values()) layer.shrink(share);
  }

  /** Keeps all scales as they are from now on. */
  freezeScales(): void {
    for (const layer of this.live.values()) layer.setScaleTraining('frozen');
  }

  /** Batch normalizations use their running statistics from now on, in training too. */
  freezeBatchNorm(): void {
    this.normsFrozen = true;
  }

  /** The network as it is now, in integers: the very ones that the forward pass uses. Training can go on. */
  async freeze(): Promise<Network> {
    const { architecture, preprocessing, labels, activationBits, metadata } = this.source;
    const weights = new Map<string, LayerWeights>();
    for (const { name } of architecture.layers) {
      const layer = this.live.get(name);
      weights.set(name, layer ? await layer.freeze() : await frozenNorm(this.norms.get(name)!));
    }
    return new Network({ architecture, weights, preprocessing, labels, activationBits, metadata });
  }

  dispose(): void {
    for (const layer of this.layers?.values() ?? []) layer.dispose();
    if (this.layers !== null) for (const tensor of this.normVariables) tensor.dispose();
    this.layers = null;
  }
}

function normVariables(
  shape: readonly [number, number, number, number],
  { filter, bias }: LayerWeights,
): LayerParameters {
  return scoped(() => ({
    filter: variable(tensor4d(filter as Float32Array, [...shape])),
    bias: variable(tensor1d(bias!)),
  })) as unknown as LayerParameters;
}

async function frozenNorm({ filter, bias }: LayerParameters): Promise<LayerWeights> {
  const [scale, shift] = (await Promise.all([(filter as Tensor4D).data(), bias!.data()])) as [
    Float32Array,
    Float32Array,
  ];
  return { filter: scale.slice(), bias: shift.slice() };
}

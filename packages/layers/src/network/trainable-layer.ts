/** One layer of a network in training: shadow weights, scales, bias or batch normalization. */
import { bfpRound, DSConvFilter, resolveGeometry } from '@dsconv/core';
import { type LayerSpec, type LayerUse, type LayerWeights, outChannels } from '@dsconv/models';
import {
  add,
  div,
  keep,
  mul,
  relu,
  relu6,
  type Tensor,
  type Tensor4D,
  tensor,
  tensor1d,
  tensor4d,
  tidy,
  type Variable,
  variable,
} from '@tensorflow/tfjs-core';
import { convolution, depthwiseConvolution } from '../convolution.js';
import { fakeQuantize, fitScales, refitScales } from '../filter/fake-quantize.js';
import { type Partition, partitionOf, scaleShape } from '../filter/partition.js';
import { floatsOf, freezeFilter, type ScaleTraining } from '../filter/quantized-filter.js';
import { scoped } from '../scoped.js';
import { BatchNorm, EPSILON, SHARE } from './batch-norm.js';
import { checkShadow } from './check-shadow.js';
import { blockSizes, powerOfTwo, unshift } from './units.js';

/** How a layer begins. */
export interface LayerStart {
  /** The layer as it is now: its filter tells bits, blocks and scales. */
  weights: LayerWeights;
  /** Float weights that the filter was made from, or null where the filter's own values are all there is. */
  shadow: Float32Array | null;
  /** Mantissa bits of the inputs, or null for float activations. */
  activationBits: number | null;
  scales: ScaleTraining;
  /** Divides weights and scales by the size of their block. */
  relativeUnits: boolean;
  /** Makes the folded batch normalization a layer of its own again, of whose statistics it is known. */
  restoreNorm: boolean;
}

interface Quantized {
  bits: number;
  partition: Partition;
  /** Scales and shifts divided by `unit`, for the same reason as the filter is divided by `gain`. */
  kds: Variable;
  kdsBias: Variable | null;
  /** Powers of two near the scales that training began with, or ones, in their shape. Not trained. */
  unit: Tensor;
  /** Shifters of the channels, which are not trained: a batch normalization or bias does what they do. */
  channels: { scale: Tensor; shift: Tensor | null } | null;
}

export class TrainableLayer {
  /** Shadow weights divided by `gain`, so that a learning rate means the same for every block of every layer. */
  private readonly filter: Variable;
  /** In the filter's shape: how large the weights are that share a scale with each, to a power of two, or ones. Not trained. */
  private readonly gain: Tensor;
  private readonly bias: Variable | null;
  private readonly norm: BatchNorm | null;
  private readonly quantized: Quantized | null;
  private scales: ScaleTraining;

  constructor(
    readonly spec: LayerSpec,
    private readonly start: LayerStart,
  ) {
    const { shape } = spec;
    const { filter, bias, statistics } = start.weights;
    this.scales = start.scales;
    if (start.shadow && filter instanceof DSConvFilter) checkShadow(spec.name, start.shadow, filter);
    const values = start.shadow ?? (filter instanceof DSConvFilter ? filter.dequantize() : filter);
    this.quantized = filter instanceof DSConvFilter ? scoped(() => this.toVariables(filter)) : null;
    const channels = filter instanceof DSConvFilter && this.quantized?.channels ? filter : null;
    const unshifted = channels ? unshift(values, channels) : values;
    const kind = spec.kind === 'depthwise' ? 'depthwise' : 'conv2d';
    const partition = this.quantized?.partition ?? partitionOf(kind, shape, shape[2], true);
    const sizes = start.relativeUnits
      ? blockSizes(unshifted, partition)
      : new Float32Array(unshifted.length).fill(1);
    const whole = [...shape] as [number, number, number, number];
    this.gain = tensor4d(sizes, whole);
    this.filter = ownVariable(
      tensor4d(
        unshifted.map((value, n) => value / sizes[n]!),
        whole,
      ),
    );
    this.norm = start.restoreNorm && statistics ? restored(statistics, bias, outChannels(spec)) : null;
    this.bias = bias && !this.norm ? ownVariable(tensor1d(bias)) : null;
    if (filter instanceof DSConvFilter && start.shadow) this.refit();
  }

  private toVariables(filter: DSConvFilter): Quantized {
    const { kind, shape, blockSize, bits } = filter;
    const perBlock = filter.scales('kds');
    const scaleFormat = filter.stored(perBlock ? 'kds' : 'cds')!.format;
    const partition: Partition = { kind, shape, blockSize, perChannel: perBlock === null, scaleFormat };
    const kdsBias = filter.scales('kdsBias');
    const [cds, cdsBias] = [filter.scales('cds'), filter.scales('cdsBias')];
    const learned = this.scales === 'learned';
    const shapeOf = scaleShape(partition);
    const hasChannels = perBlock !== null && cds !== null;
    const kds = (perBlock ?? cds)!;
    const units = kds.map((value) => (this.start.relativeUnits ? powerOfTwo(Math.abs(value)) : 1));
    const relative = (values: Float32Array): Tensor =>
      tensor(
        values.map((value, n) => value / units[n]!),
        shapeOf,
      );
    return {
      bits,
      partition,
      kds: variable(relative(kds), learned),
      kdsBias: kdsBias && variable(relative(kdsBias), learned),
      unit: keep(tensor(units, shapeOf)),
      channels: hasChannels
        ? {
            scale: variable(tensor1d(cds), false),
            shift: cdsBias && variable(tensor1d(cdsBias), false),
          }
        : null,
    };
  }

  /** What an optimizer moves. */
  get trainable(): Variable[] {
    const norm = this.norm ? [this.norm.gamma, this.norm.beta] : [];
    const scales =
      this.scales === 'learned' && this.quantized ? [this.quantized.kds, this.quantized.kdsBias] : [];
    return [this.filter, this.bias, ...norm, ...scales].filter((v) => v !== null);
  }

  /** Everything that changes in training, by name, for checkpoints. */
  get state(): [string, Variable][] {
    const { kds = null, kdsBias = null } = this.quantized ?? {};
    const own = { filter: this.filter, bias: this.bias, kds, kdsBias, ...this.norm?.state };
    return Object.entries(own).flatMap(([part, tensor]): [string, Variable][] =>
      tensor ? [[`${this.spec.name}/${part}`, tensor]] : [],
    );
  }

  /** The shadow weights. */
  private get shadow(): Tensor4D {
    return mul(this.filter, this.gain);
  }

  /** Brings the scales up to date with the weights: one step of least squares. With a bias per block they are left alone. */
  refit(): void {
    const q = this.quantized;
    if (!q || q.kdsBias) return;
    tidy(() => q.kds.assign(div(refitScales(this.shadow, scalesOf(q), q.bits, q.partition), q.unit)));
  }

  get bits(): number | null {
    return this.quantized?.bits ?? null;
  }

  /** Changes the weight bits and fits the scales from scratch. Layers that are float stay so. */
  setBits(bits: number): void {
    const q = this.quantized;
    if (!q) return;
    q.bits = bits;
    tidy(() => q.kds.assign(div(fitScales(this.shadow, bits, q.partition), q.unit)));
  }

  /** Multiplies the shadow weights by `1 - share`. */
  shrink(share: number): void {
    tidy(() => this.filter.assign(mul(this.filter, 1 - share)));
  }

  setScaleTraining(scales: ScaleTraining): void {
    this.scales = scales;
  }

  /** ŵ, or the float filter of a layer that is not quantized. */
  private rounded(): Tensor4D {
    const w = this.shadow;
    const q = this.quantized;
    if (!q) return w;
    const rounded = fakeQuantize(w, scalesOf(q), q.kdsBias && mul(q.kdsBias, q.unit), q.bits, q.partition);
    if (!q.channels) return rounded;
    const scaled = mul(rounded, q.channels.scale);
    return q.channels.shift ? add(scaled, q.channels.shift) : (scaled as Tensor4D);
  }

  /** The layer as the quantized operator computes it, in float and with gradients. */
  forward(x: Tensor4D, use: LayerUse, training: boolean, blend?: number): Tensor4D {
    if (training && this.scales === 'fitted') this.refit();
    const y = this.convolve(x);
    const normalized = this.norm
      ? this.norm.apply(y, blend ?? (training ? SHARE : 0))
      : this.bias
        ? add(y, this.bias)
        : y;
    const sum = (use.residual ? add(normalized, use.residual) : normalized) as Tensor4D;
    const out = use.activation === 'relu' ? relu(sum) : use.activation === 'relu6' ? relu6(sum) : sum;
    return use.onGrid ? this.onGrid(out) : out;
  }

  /** The convolution alone, of which batch normalizations take their statistics. */
  convolve(x: Tensor4D): Tensor4D {
    const { spec } = this;
    const geometry = resolveGeometry({
      inputShape: x.shape,
      kernelSize: [spec.shape[0], spec.shape[1]],
      outChannels: outChannels(spec),
      strides: spec.strides,
      pad: spec.pad,
    });
    const operator = spec.kind === 'depthwise' ? depthwiseConvolution : convolution;
    return operator(this.onGrid(x), this.rounded(), geometry);
  }

  /** On the grid of this layer's activations; a float layer has none. */
  private onGrid(x: Tensor4D): Tensor4D {
    const { activationBits } = this.start;
    if (!this.quantized || activationBits === null) return x;
    return bfpRound(x, { bits: activationBits, blockSize: this.quantized.partition.blockSize });
  }

  /** The batch normalization, if it was restored. */
  get batchNorm(): BatchNorm | null {
    return this.norm;
  }

  /** The layer's numbers as they are now, batch normalization folded in. */
  async freeze(): Promise<LayerWeights> {
    const folded = this.norm ? await this.norm.folded() : null;
    const bias = folded?.shift ?? (this.bias ? (await floatsOf(this.bias)).slice() : null);
    const w = await valuesOf(tidy(() => this.shadow));
    const q = this.quantized;
    const outputs = outChannels(this.spec);
    if (!q) {
      return { filter: folded ? w.map((value, n) => value * folded.scale[n % outputs]!) : w, bias };
    }
    const own = q.channels && (await floatsOf(q.channels.scale));
    const ownShift = q.channels?.shift ? await floatsOf(q.channels.shift) : null;
    const scale = folded && own ? own.map((value, o) => value * folded.scale[o]!) : (folded?.scale ?? own);
    const shift = ownShift && folded ? ownShift.map((value, o) => value * folded.scale[o]!) : ownShift;
    const kds = await valuesOf(tidy(() => scalesOf(q)));
    const kdsBias = q.kdsBias && (await valuesOf(tidy(() => mul(q.kdsBias!, q.unit))));
    const values = { w, kds, kdsBias };
    return { filter: freezeFilter(values, q.bits, q.partition, { scale, shift }), bias };
  }

  dispose(): void {
    for (const [, tensor] of this.state) tensor.dispose();
    this.gain.dispose();
    this.quantized?.unit.dispose();
    this.quantized?.channels?.scale.dispose();
    this.quantized?.channels?.shift?.dispose();
  }
}

/** Scales as the filter is rounded with. */
const scalesOf = ({ kds, unit }: Quantized): Tensor => mul(kds, unit);

/** A tensor's floats, and an end of it. */
async function valuesOf(t: Tensor): Promise<Float32Array> {
  const values = (await floatsOf(t)).slice();
  t.dispose();
  return values;
}

/** A variable of a tensor that nothing else needs. */
function ownVariable(initial: Tensor): Variable {
  const made = variable(initial);
  initial.dispose();
  return made;
}

/**
 * The folded normalization as one that changes nothing: what the convolution gives without its bias has mean β - b and deviation |γ|, so
 * `γ' (z - μ)/√(σ² + ε) + β` with `γ' = √(γ² + ε)` is `z + b`.
 */
function restored(
  { mean, deviation }: { mean: Float32Array; deviation: Float32Array },
  bias: Float32Array | null,
  channels: number,
): BatchNorm {
  const values = {
    gamma: deviation.map((d) => Math.sqrt(d * d + EPSILON)),
    beta: mean.slice(),
    mean: Float32Array.from({ length: channels }, (_, c) => mean[c]! - (bias ? bias[c]! : 0)),
    variance: deviation.map((d) => d * d),
  };
  return scoped(() => {
    const [gamma, beta, average, variance] = [values.gamma, values.beta, values.mean, values.variance].map(
      (v) => tensor1d(v),
    );
    return new BatchNorm({ gamma: gamma!, beta: beta!, mean: average!, variance: variance! });
  });
}

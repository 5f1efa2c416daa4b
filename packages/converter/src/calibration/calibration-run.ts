/** The float and the quantized network side by side, on their way through all pictures. */
import { type DSConvFilter, InvalidArgumentError } from '@dsconv/core';
import {
  dispose,
  keep,
  type Tensor,
  type Tensor1D,
  type Tensor4D,
  tensor,
  tensor1d,
  tensor4d,
  tidy,
} from '@tensorflow/tfjs-core';
import { quantizeLayer } from '../quantize-network.js';
import { seededRandom } from '../random.js';
import { signalToNoise } from '../signal-to-noise.js';
import { ActiveMeans, sparsely } from './active-means.js';
import { type CalibrateOptions, type CalibrationPictures, DEFAULT_FIT } from './calibrate-options.js';
import { choosePictures, largestDivisor, mostPictures } from './choose-pictures.js';
import { CovarianceAccumulator } from './covariance.js';
import { type FitParameters, fitLayer, type LayerStatistics } from './fit-layer.js';
import { checkPicture, type FloatNetwork, type FoundLayer, outputsOf } from './float-network.js';
import { addTo, type Matrix, matrix, multiply } from './matrix.js';
import { PooledFeatures } from './pooled-features.js';
import { ChannelMeans, sampleRows } from './sample-layer.js';
import { finishFloat, runFloat, runQuantized, Stream } from './stream.js';
import { type ConvolutionNode, constantTensors, type NetworkStructure } from './structure.js';

/** Inputs of a filter beyond which its covariance is not made: 8192² float32 are 256 MiB. */
const MOST_INPUTS = 8192;

/** Pictures that are run at a time, at most. */
const BATCH = 8;

/** Both networks on their way through all pictures. */
export class CalibrationRun {
  readonly rounded: string[] = [];
  private readonly float: Stream[] = [];
  private readonly quantized: Stream[] = [];
  private readonly constants: Map<number, Tensor>;
  private readonly found = new Map<string, { layer: FoundLayer; bias: Tensor1D }>();
  private readonly features = new PooledFeatures();
  private readonly random;
  private readonly parameters: FitParameters;

  private constructor(
    private readonly network: FloatNetwork,
    readonly structure: NetworkStructure,
    readonly pictures: number,
    private readonly options: CalibrateOptions,
  ) {
    this.constants = constantTensors(structure);
    this.random = seededRandom(options.seed ?? 1);
    this.parameters = { ...DEFAULT_FIT, ...options.fit };
  }

  /**
   * @throws InvalidArgumentError when there are no pictures, or one has another size
   * @throws TraceError when the network cannot be recorded
   */
  static async start(
    network: FloatNetwork,
    pictures: CalibrationPictures,
    options: CalibrateOptions,
  ): Promise<CalibrationRun> {
    if (!Number.isInteger(pictures.count) || pictures.count < 1) {
      throw new InvalidArgumentError(`pictures.count is ${pictures.count}; expected at least one picture`);
    }
    const { memory = 1.5 * 2 ** 30, seed = 1 } = options;
    const single = await network.record(1);
    const chosen = choosePictures(pictures.count, mostPictures(single, memory), seed);
    const batch = largestDivisor(chosen.length, network.anyBatch ? BATCH : 1);
    const structure = batch === 1 ? single : await network.record(batch);
    const calibration = new CalibrationRun(network, structure, chosen.length, options);
    try {
      for (let n = 0; n < chosen.length; n += batch) {
        await calibration.begin(pictures, chosen.slice(n, n + batch));
      }
    } catch (error) {
      calibration.dispose();
      throw error;
    }
    return calibration;
  }

  /** Puts both networks before a batch of pictures. */
  private async begin(pictures: CalibrationPictures, indices: readonly number[]): Promise<void> {
    const { inputShape, dtype } = this.network;
    const length = inputShape.reduce((product, d) => product * d, 1);
    const data = new Float32Array(indices.length * length);
    for (const [n, index] of indices.entries()) {
      const picture = await pictures.read(index);
      checkPicture(picture, index, inputShape);
      data.set(picture, n * length);
    }
    const x = tensor(data, [indices.length, ...inputShape], dtype);
    for (const streams of [this.float, this.quantized]) {
      streams.push(Stream.start(this.structure, this.constants, x));
    }
    x.dispose();
  }

  /** Quantizes a convolution; both networks then stand behind it. One that runs again is what it became the first time. */
  async fit(convolution: ConvolutionNode): Promise<FoundLayer> {
    const layer = this.network.layers.get(convolution.layer)!;
    const known = this.found.get(layer.name);
    const weights = tensor4d(layer.weights, [...layer.shape]);
    const floatBias = layer.bias ? tensor1d(layer.bias) : null;
    let found: FoundLayer;
    try {
      if (known) this.step(convolution, weights, floatBias, () => undefined);
      found = known?.layer ?? this.shift(convolution, await this.quantize(convolution, weights, floatBias));
    } finally {
      dispose([weights, ...(floatBias ? [floatBias] : [])]);
    }
    const bias = known?.bias ?? keep(tensor1d(found.bias ?? new Float32Array(outputsOf(layer))));
    this.found.set(layer.name, { layer: found, bias });
    for (const stream of this.quantized) {
      const result = tidy(() => runQuantized(convolution, stream.inputsOf(convolution), found.filter, bias));
      stream.settle(result);
    }
    return found;
  }

  private async quantize(
    convolution: ConvolutionNode,
    weights: Tensor4D,
    floatBias: Tensor1D | null,
  ): Promise<FoundLayer> {
    const layer = this.network.layers.get(convolution.layer)!;
    const { name, shape, weights: exact, plan } = layer;
    const inputs = shape[0] * shape[1] * shape[2];
    const { groups } = convolution.attributes.geometry;
    if (!convolution.depthwise && groups === 1 && inputs <= MOST_INPUTS) {
      const statistics = await this.collect(convolution, weights, floatBias);
      const format = { ...plan, scales: this.options.scales ?? 'float16' };
      const found = await fitLayer(layer, exact, statistics, format, this.parameters);
      return { ...found, snrDb: signalToNoise(exact, found.filter.dequantize()) };
    }
    const filter = quantizeLayer(layer, exact, plan, { ...this.options, method: 'search' });
    const bias = convolution.depthwise
      ? this.balance(convolution, weights, floatBias, filter)
      : this.pass(convolution, weights, floatBias, layer.bias);
    if (!convolution.depthwise) this.rounded.push(name);
    return { filter, bias, snrDb: signalToNoise(exact, filter.dequantize()) };
  }

  /** Makes the means equal where the activation lets outputs through; both networks' pictures have arrived there. */
  private shift(convolution: ConvolutionNode, found: FoundLayer): FoundLayer {
    const { attributes } = convolution;
    const ceiling =
      attributes.activation === 'relu' ? Infinity : attributes.activation === 'relu6' ? 6 : null;
    if (ceiling === null || found.bias === null) return found;
    const means = new ActiveMeans(found.bias.length, ceiling);
    const bias = tensor1d(found.bias);
    const linear = {
      ...convolution,
      attributes: { ...attributes, activation: 'linear' as const, outputFormat: null },
    };
    const [batch, height, width] = convolution.node.outputs[0]!.shape as [number, number, number];
    const { batchStep, pixelStep } = sparsely(batch * height * width, this.quantized.length);
    for (let n = 0; n < this.quantized.length; n += batchStep) {
      const wanted = this.float[n]!.outputOf(convolution);
      if (wanted === null) continue;
      const y = tidy(() => {
        return runQuantized(linear, this.quantized[n]!.inputsOf(convolution), found.filter, bias);
      });
      means.add(y.dataSync() as Float32Array, wanted.dataSync() as Float32Array, pixelStep);
      y.dispose();
    }
    bias.dispose();
    const shifts = means.shifts();
    return { ...found, bias: found.bias.map((value, c) => value + shifts[c]!) };
  }

  /** Takes both networks to the convolution, and the float one through it; `see` gets what both have there. */
  private step(
    convolution: ConvolutionNode,
    weights: Tensor4D,
    bias: Tensor1D | null,
    see: (quantizedInput: Tensor4D, floatOutput: Tensor4D) => void,
  ): void {
    this.float.forEach((float, n) => {
      const quantized = this.quantized[n]!;
      float.advance(convolution.index, unreachable);
      quantized.advance(convolution.index, unreachable, (_, node, inputs) => this.features.see(node, inputs));
      const result = tidy(() => {
        const inputs = float.inputsOf(convolution);
        const y = runFloat(convolution, inputs.x, weights, bias);
        see(quantized.inputsOf(convolution).x, y);
        return finishFloat(convolution, y, inputs);
      });
      float.settle(result);
    });
  }

  private async collect(
    convolution: ConvolutionNode,
    weights: Tensor4D,
    bias: Tensor1D | null,
  ): Promise<LayerStatistics> {
    const [kh, kw, inner, outputs] = weights.shape;
    const wanted = Math.ceil((this.options.rows ?? 40_000) / this.pictures);
    const accumulator = new CovarianceAccumulator(kh * kw * inner, outputs);
    try {
      this.step(convolution, weights, bias, (x, y) =>
        sampleRows(convolution, x, y, wanted, this.random, accumulator),
      );
    } catch (error) {
      accumulator.dispose();
      throw error;
    }
    const statistics = await accumulator.finish();
    const within = await this.features.take(convolution);
    if (within) await widen(statistics, within, weights);
    return statistics;
  }

  /** The bias that makes the mean outputs equal. */
  private balance(
    convolution: ConvolutionNode,
    weights: Tensor4D,
    bias: Tensor1D | null,
    filter: DSConvFilter,
  ): Float32Array {
    const channels = outputsOf(this.network.layers.get(convolution.layer)!);
    const [wanted, found] = [new ChannelMeans(channels), new ChannelMeans(channels)];
    const zero = tensor1d(new Float32Array(channels));
    const plain = { ...convolution.attributes, activation: 'linear' as const, outputFormat: null };
    this.step(convolution, weights, bias, (x, y) => {
      wanted.add(y.dataSync() as Float32Array);
      const unbiased = runQuantized(
        { ...convolution, attributes: plain },
        { x, residual: null, slopes: null },
        filter,
        zero,
      );
      found.add(unbiased.dataSync() as Float32Array);
    });
    zero.dispose();
    const [a, b] = [wanted.finish(), found.finish()];
    return Float32Array.from(a, (mean, c) => mean - b[c]!);
  }

  /** Nothing is learned; the bias stays as it was. */
  private pass(
    convolution: ConvolutionNode,
    weights: Tensor4D,
    bias: Tensor1D | null,
    values: Float32Array | null,
  ): Float32Array | null {
    this.step(convolution, weights, bias, () => undefined);
    return values?.slice() ?? null;
  }

  dispose(): void {
    for (const stream of [...this.float, ...this.quantized]) stream.dispose();
    dispose([...this.constants.values(), ...[...this.found.values()].map(({ bias }) => bias)]);
    this.features.dispose();
  }
}

/** Counts variation that both networks are taken to answer to with the float weights: only what is measured is a reason to move them. */
async function widen(
  { covariance, crossCovariance }: LayerStatistics,
  within: Matrix,
  weights: Tensor4D,
): Promise<void> {
  const exact = matrix(covariance.rows, crossCovariance.columns, weights.dataSync() as Float32Array);
  addTo(covariance, within);
  addTo(crossCovariance, await multiply(within, exact));
}

/** Convolutions are settled one by one, before the next nodes are run. */
function unreachable({ layer }: ConvolutionNode): never {
  throw new InvalidArgumentError(`layer '${layer}' is run twice; expected every convolution once`);
}

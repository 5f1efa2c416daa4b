/** The float network on its way through pictures, with its convolutions free to be something else. */
import { type LayerSpec, type Network, outChannels } from '@dsconv/models';
import {
  dispose,
  keep,
  type Tensor,
  type Tensor1D,
  type Tensor4D,
  tensor1d,
  tensor4d,
  tidy,
} from '@tensorflow/tfjs-core';
import type { CalibrationPictures } from '../calibration/calibrate-options.js';
import { choosePictures, largestDivisor, mostPictures } from '../calibration/choose-pictures.js';
import { PooledFeatures } from '../calibration/pooled-features.js';
import { type ConvolutionInputs, finishFloat, runFloat, Stream } from '../calibration/stream.js';
import {
  type ConvolutionNode,
  captureStructure,
  constantTensors,
  type NetworkStructure,
} from '../calibration/structure.js';
import type { LayerPlan } from '../quantize-network.js';
import { readBatch } from './read-batch.js';

/** Pictures that are run at a time, at most. */
const BATCH = 8;

/** A layer as it is computed with. */
export interface LayerTensors {
  /** In the order of the layer's shape. */
  weights: Tensor4D;
  /** `[outChannels]`. */
  bias: Tensor1D;
}

export interface FloatRunOptions {
  /** Of the quantized convolutions that the structure is recorded with. Default null. */
  activationBits?: number | null;
  /** Pictures at most; drawn by seed where there are more. */
  most: number;
  /** Bytes that activations may take. */
  memory: number;
  seed: number;
}

/** All pictures stand at the same place: before the convolution that {@link reach} was called for last. */
export class FloatRun {
  /** One for each batch of pictures. */
  readonly streams: Stream[] = [];
  /** Of what was pooled on the way. */
  readonly features = new PooledFeatures();
  private readonly constants: Map<number, Tensor>;
  private readonly layers = new Map<string, LayerTensors>();

  private constructor(
    readonly structure: NetworkStructure,
    readonly pictures: number,
    network: Network,
  ) {
    this.constants = constantTensors(structure);
    for (const layer of network.architecture.layers) {
      if (layer.kind === 'norm') continue;
      const { filter, bias } = network.weights.get(layer.name)!;
      this.set(layer, filter as Float32Array, bias ?? new Float32Array(outChannels(layer)));
    }
  }

  /** Reads the pictures and puts the network before them. */
  static async start(
    network: Network,
    plans: readonly { layer: LayerSpec; plan: LayerPlan }[],
    pictures: CalibrationPictures,
    { most, memory, seed, activationBits = null }: FloatRunOptions,
  ): Promise<FloatRun> {
    const { architecture, weights } = network;
    const formats = new Map(
      plans.filter(({ layer }) => layer.kind !== 'norm').map(({ layer, plan }) => [layer.name, plan]),
    );
    const record = (batch: number): NetworkStructure =>
      captureStructure(architecture, weights, formats, activationBits, batch);
    // Half of the memory is for what is tried beside the run itself.
    const chosen = choosePictures(pictures.count, Math.min(most, mostPictures(record(1), memory)), seed);
    const batch = largestDivisor(chosen.length, BATCH);
    const run = new FloatRun(record(batch), chosen.length, network);
    try {
      for (let n = 0; n < chosen.length; n += batch) {
        const x = await readBatch(network, pictures, chosen.slice(n, n + batch));
        run.streams.push(Stream.start(run.structure, run.constants, x));
        x.dispose();
      }
    } catch (error) {
      run.dispose();
      throw error;
    }
    return run;
  }

  /** Replaces a layer's numbers. */
  set(layer: Pick<LayerSpec, 'name' | 'shape'>, weights: Float32Array, bias: Float32Array): void {
    const old = this.layers.get(layer.name);
    if (old) dispose([old.weights, old.bias]);
    this.layers.set(layer.name, {
      weights: keep(tensor4d(weights, [...layer.shape])),
      bias: keep(tensor1d(bias)),
    });
  }

  get(layer: string): LayerTensors {
    return this.layers.get(layer)!;
  }

  /** Takes all pictures to a convolution. */
  reach({ index }: ConvolutionNode): void {
    for (const stream of this.streams) {
      stream.advance(index, this.convolve, (_, node, inputs) => this.features.see(node, inputs));
    }
  }

  /** Takes all pictures through the convolution they stand before. */
  pass({ index }: ConvolutionNode): void {
    for (const stream of this.streams) stream.advance(index + 1, this.convolve);
  }

  /** Output of the convolution that a stream stands before, before residual and activation. The caller's. */
  output(
    convolution: ConvolutionNode,
    stream: Stream,
    { weights, bias } = this.get(convolution.layer),
  ): Tensor4D {
    return tidy(() => runFloat(convolution, stream.inputsOf(convolution).x, weights, bias));
  }

  /**
   * The network's logits for all pictures, `[pictures, classes]`, as it is or with something else for the convolution that they stand before. The
   * run itself stays where it is.
   *
   * @param convolve computes that convolution, activation included
   */
  logits(convolution?: ConvolutionNode, convolve?: (inputs: ConvolutionInputs) => Tensor4D): Float32Array {
    const { trace } = this.structure;
    const classes = trace.outputs[0]!.shape.at(-1)!;
    const all = new Float32Array(this.pictures * classes);
    let at = 0;
    for (const stream of this.streams) {
      const fork = stream.fork();
      if (convolution && convolve) fork.settle(tidy(() => convolve(fork.inputsOf(convolution))));
      fork.advance(trace.nodes.length, this.convolve);
      const values = fork.output().dataSync() as Float32Array;
      fork.dispose();
      all.set(values, at);
      at += values.length;
    }
    return all;
  }

  private readonly convolve = (convolution: ConvolutionNode, inputs: ConvolutionInputs): Tensor4D => {
    const { weights, bias } = this.get(convolution.layer);
    return finishFloat(convolution, runFloat(convolution, inputs.x, weights, bias), inputs);
  };

  dispose(): void {
    for (const stream of this.streams) stream.dispose();
    for (const { weights, bias } of this.layers.values()) dispose([weights, bias]);
    dispose([...this.constants.values()]);
    this.features.dispose();
  }
}

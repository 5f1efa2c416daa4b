/** What quantization did to a network, layer by layer, seen by its weights, its outputs and its answers. */
import { DSConvFilter, InvalidArgumentError } from '@dsconv/core';
import type { Network } from '@dsconv/models';
import { keep, type Tensor1D, tensor1d, tidy } from '@tensorflow/tfjs-core';
import { agreement, divergence } from '../allocation/compare-logits.js';
import { FloatRun } from '../allocation/float-run.js';
import { type CalibrationPictures, DEFAULT_MEMORY } from '../calibration/calibrate-options.js';
import { runQuantized, type Stream } from '../calibration/stream.js';
import type { ConvolutionNode } from '../calibration/structure.js';
import { type LayerSummary, summarizeLayer } from '../inspect-network.js';
import type { QuantizeProgress } from '../quantize-network.js';
import { findReference, plansOf, weightsOf } from './find-reference.js';
import { type Similarity, SimilaritySums } from './similarity.js';

export interface InspectAgainstOptions {
  /** Pictures that are run, at most; drawn by seed where there are more. Default 32. */
  most?: number;
  /** Bytes that activations may take. Default 1.5 GiB. */
  memory?: number;
  /** Default 1. */
  seed?: number;
  onProgress?: (progress: QuantizeProgress) => void;
}

/** One layer, quantized against float. */
export interface LayerComparison extends LayerSummary {
  /** Of the weights. */
  weightSimilarity: Similarity;
  /** Of the outputs before the activation, each network on what its own layers before make of the pictures. */
  outputSimilarity: Similarity;
  /** Of the outputs before the activation, both on what the float network's layers before make: this layer's own part. */
  ownOutputSimilarity: Similarity;
  /** Kullback-Leibler divergence of the answers with only this layer quantized, nats per picture. */
  harm: number;
  /** Part of the pictures for which only quantizing this layer changes the class. */
  changedClasses: number;
}

export interface NetworkComparison {
  /** Pictures that were run. */
  pictures: number;
  /** Divergence of the whole quantized network's answers, nats per picture. */
  divergence: number;
  /** Part of the pictures with the float network's class. */
  agreement: number;
  /** By falling harm. */
  layers: LayerComparison[];
  /** The float network that weights were compared with: the given one, or the same with channels scaled. */
  reference: Network;
}

/**
 * Runs both networks side by side. Needs a backend with DSConv kernels.
 *
 * @param pictures preprocessed
 * @throws InvalidArgumentError when the networks do not belong together, or there are no pictures or they have another size
 */
export async function inspectAgainst(
  quantized: Network,
  float: Network,
  pictures: CalibrationPictures,
  options: InspectAgainstOptions = {},
): Promise<NetworkComparison> {
  if (!Number.isInteger(pictures.count) || pictures.count < 1) {
    throw new InvalidArgumentError(`pictures.count is ${pictures.count}; expected at least one picture`);
  }
  const { most = 32, memory = DEFAULT_MEMORY, seed = 1, onProgress } = options;
  const reference = findReference(quantized, float);
  const { activationBits } = quantized;
  const run = await FloatRun.start(reference, plansOf(quantized), pictures, {
    most,
    memory,
    seed,
    activationBits,
  });
  const beside = run.streams.map((stream) => stream.fork());
  const { classes, layers: specs } = quantized.architecture;
  const biases = new Map<string, Tensor1D>();
  const layers: LayerComparison[] = [];
  try {
    const expected = run.logits();
    const { convolutions, trace } = run.structure;
    for (const [done, convolution] of convolutions.entries()) {
      onProgress?.({ done, total: convolutions.length, layer: convolution.layer });
      await new Promise<void>((resolve) => setTimeout(resolve));
      const spec = specs.find(({ name }) => name === convolution.layer)!;
      const stored = quantized.weights.get(spec.name)!;
      const bias = keep(tensor1d(stored.bias ?? new Float32Array(run.get(spec.name).bias.size)));
      biases.set(spec.name, bias);
      run.reach(convolution);
      for (const stream of beside) stream.advance(convolution.index, unreachable);
      const compared = compareOutputs(run, beside, convolution, stored.filter, bias);
      layers.push({
        ...summarizeLayer(spec, stored),
        ...compared,
        weightSimilarity: new SimilaritySums()
          .add(weightsOf(reference, spec.name), weightsOf(quantized, spec.name))
          .finish(),
        ...harmOf(run, convolution, stored.filter, bias, expected, classes),
      });
      run.pass(convolution);
    }
    onProgress?.({ done: convolutions.length, total: convolutions.length, layer: null });
    const answers = new Float32Array(expected.length);
    beside.forEach((stream, n) => {
      stream.advance(trace.nodes.length, unreachable);
      const values = stream.output().dataSync() as Float32Array;
      answers.set(values, n * values.length);
    });
    return {
      pictures: run.pictures,
      divergence: divergence(expected, answers, classes),
      agreement: agreement(expected, answers, classes),
      layers: layers.sort((a, b) => b.harm - a.harm),
      reference,
    };
  } finally {
    run.dispose();
    for (const stream of beside) stream.dispose();
    for (const bias of biases.values()) bias.dispose();
  }
}

/** Takes the quantized network through the convolution. */
function compareOutputs(
  run: FloatRun,
  beside: readonly Stream[],
  convolution: ConvolutionNode,
  filter: Float32Array | DSConvFilter,
  bias: Tensor1D,
): Pick<LayerComparison, 'outputSimilarity' | 'ownOutputSimilarity'> {
  const [all, own] = [new SimilaritySums(), new SimilaritySums()];
  const linear: ConvolutionNode = {
    ...convolution,
    attributes: { ...convolution.attributes, activation: 'linear', outputFormat: null },
  };
  for (const [n, stream] of run.streams.entries()) {
    const quantized = beside[n]!;
    const exact = run.output(convolution, stream);
    const values = exact.dataSync() as Float32Array;
    for (const [inputs, sums] of [
      [quantized.inputsOf(convolution), all],
      [stream.inputsOf(convolution), own],
    ] as const) {
      const found = tidy(() => runQuantized(linear, { ...inputs, residual: null }, asFilter(filter), bias));
      sums.add(values, found.dataSync());
      found.dispose();
    }
    exact.dispose();
    quantized.settle(
      tidy(() => runQuantized(convolution, quantized.inputsOf(convolution), asFilter(filter), bias)),
    );
  }
  return { outputSimilarity: all.finish(), ownOutputSimilarity: own.finish() };
}

function harmOf(
  run: FloatRun,
  convolution: ConvolutionNode,
  filter: Float32Array | DSConvFilter,
  bias: Tensor1D,
  expected: Float32Array,
  classes: number,
): Pick<LayerComparison, 'harm' | 'changedClasses'> {
  const logits = run.logits(convolution, (inputs) =>
    runQuantized(convolution, inputs, asFilter(filter), bias),
  );
  return {
    harm: divergence(expected, logits, classes),
    changedClasses: 1 - agreement(expected, logits, classes),
  };
}

/** Every convolution of a network that was quantized is a filter of integers. */
function asFilter(filter: Float32Array | DSConvFilter): DSConvFilter {
  if (filter instanceof DSConvFilter) return filter;
  throw new InvalidArgumentError(
    'a convolution of the network is float; expected all of them to be quantized',
  );
}

function unreachable({ layer }: ConvolutionNode): never {
  throw new InvalidArgumentError(`layer '${layer}' is run twice; expected every convolution once`);
}

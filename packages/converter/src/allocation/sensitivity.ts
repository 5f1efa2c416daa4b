/**
 * How much a network's answers suffer from each form of each layer, every other layer in float. One form is tried: the Kullback-Leibler divergence
 * of its answers from the float ones says how much the layer matters. The others follow from the noise they make in the layer's outputs relative to
 * the tried one's, because a divergence grows with the square of a small change.
 */
import { quantizeFilter, type ScaleFormat } from '@dsconv/core';
import type { LayerSpec, Network } from '@dsconv/models';
import { dispose, tensor1d, tensor4d } from '@tensorflow/tfjs-core';
import type { CalibrationPictures } from '../calibration/calibrate-options.js';
import { balancedBias } from '../calibration/fit-layer.js';
import { finishFloat, runFloat } from '../calibration/stream.js';
import type { ConvolutionNode } from '../calibration/structure.js';
import type { LayerPlan, QuantizeProgress } from '../quantize-network.js';
import { type Random, seededRandom } from '../random.js';
import { candidateNoise } from './candidate-noise.js';
import type { Candidate } from './candidates.js';
import { collectStatistics } from './collect-statistics.js';
import { divergence } from './compare-logits.js';
import { FloatRun } from './float-run.js';

export interface SensitivityOptions {
  /** Round as calibration does, by error feedback; else each weight for itself. */
  feedback: boolean;
  /** Damping of covariances while rounding, relative to their mean diagonal. */
  damping: number;
  /** Storage of scales. Default 'float16'. */
  scales?: ScaleFormat;
  /** Pictures at most. */
  most: number;
  /** Bytes that activations may take. */
  memory: number;
  seed: number;
  onProgress?: (progress: QuantizeProgress) => void;
}

/** What was found out about a layer. */
export interface LayerLosses {
  /** Of each form, in nats per picture. */
  losses: number[];
  /** How its scales will be stored: float32 where float16 would not do. */
  storage: ScaleFormat;
}

/**
 * Losses of all forms by layer. A layer with one form has a loss of 0: there is nothing to choose.
 *
 * @param candidates by layer
 */
export async function measureSensitivity(
  network: Network,
  plans: readonly { layer: LayerSpec; plan: LayerPlan }[],
  candidates: ReadonlyMap<string, readonly Candidate[]>,
  pictures: CalibrationPictures,
  options: SensitivityOptions,
): Promise<Map<string, LayerLosses>> {
  const run = await FloatRun.start(network, plans, pictures, options);
  const random = seededRandom(options.seed);
  const losses = new Map<string, LayerLosses>();

  try {
    const { convolutions } = run.structure;
    const expected = run.logits();
    for (const [done, convolution] of convolutions.entries()) {
      options.onProgress?.({ done, total: convolutions.length, layer: convolution.layer });
      await new Promise<void>((resolve) => setTimeout(resolve));
      const forms = candidates.get(convolution.layer)!;
      run.reach(convolution);
      const found =
        forms.length === 1
          ? { losses: [0], storage: options.scales ?? 'float16' }
          : await measureLayer(network, run, convolution, forms, expected, random, options);
      losses.set(convolution.layer, found);
      run.pass(convolution);
    }
    options.onProgress?.({ done: convolutions.length, total: convolutions.length, layer: null });
  } finally {
    run.dispose();
  }
  return losses;
}

async function measureLayer(
  network: Network,
  run: FloatRun,
  convolution: ConvolutionNode,
  forms: readonly Candidate[],
  expected: Float32Array,
  random: Random,
  options: SensitivityOptions,
): Promise<LayerLosses> {
  const layer = network.architecture.layers.find(({ name }) => name === convolution.layer)!;
  const { filter: stored, bias } = network.weights.get(layer.name)!;
  const exact = stored as Float32Array;
  const seen = await collectStatistics(run, convolution, layer, random);
  const tried = typicalForm(forms);
  const { bits, blockSize, perChannel } = forms[tried]!;
  const { scales = 'float16' } = options;
  const filter = quantizeFilter(exact, layer.shape, {
    bits,
    blockSize,
    perChannel,
    scales,
    name: layer.name,
  });
  const found = filter.dequantize();
  const storage = filter.stored(perChannel ? 'cds' : 'kds')!.format;
  filter.dispose();
  const balanced = seen ? balancedBias(found, seen) : (bias ?? new Float32Array(layer.shape[3]));
  const replacement = { weights: tensor4d(found, [...layer.shape]), bias: tensor1d(balanced) };
  const logits = run.logits(convolution, (inputs) =>
    finishFloat(convolution, runFloat(convolution, inputs.x, replacement.weights, replacement.bias), inputs),
  );
  dispose([replacement.weights, replacement.bias]);
  const loss = divergence(expected, logits, network.architecture.classes);
  // The tried form was rounded plainly: its own share of the noise is measured in that way too.
  const judge = seen?.judge ?? null;
  const [plain] = await candidateNoise(layer, exact, null, judge, [forms[tried]!], options.damping);
  const rounding = options.feedback ? (seen?.rounding ?? null) : null;
  const noises = await candidateNoise(layer, exact, rounding, judge, forms, options.damping);
  return { storage, losses: noises.map((noise) => (plain! > 0 ? (loss * noise) / plain! : 0)) };
}

/** 4 bits at the block size in the middle, or what comes nearest: noise that is well above nothing and well below everything. */
function typicalForm(forms: readonly Candidate[]): number {
  const distance = ({ bits, blockSize }: Candidate): number =>
    10 * Math.abs(bits - 4) + Math.abs(Math.log2(blockSize / 64));
  return forms.reduce((best, form, n) => (distance(form) < distance(forms[best]!) ? n : best), 0);
}

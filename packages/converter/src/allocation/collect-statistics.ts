/** What a float layer reads, from two halves of the pictures: rounding is fitted to one and judged by the other, or it would flatter itself. */
import type { LayerSpec } from '@dsconv/models';
import { CovarianceAccumulator } from '../calibration/covariance.js';
import type { LayerStatistics } from '../calibration/fit-layer.js';
import { addTo, type Matrix } from '../calibration/matrix.js';
import { sampleRows } from '../calibration/sample-layer.js';
import type { ConvolutionNode } from '../calibration/structure.js';
import type { Random } from '../random.js';
import type { FloatRun } from './float-run.js';

/** Inputs of a filter beyond which its covariance is not made. */
const MOST_INPUTS = 8192;
/** Patches that a half's covariance is made of, at most. */
const ROWS = 10_000;

export interface SeenInputs extends Pick<LayerStatistics, 'inputMean' | 'outputMean'> {
  /** Covariance to round under, `[inputs, inputs]`; for a classifier that of the features before their pooling is added. */
  rounding: Matrix;
  /** Covariance of other pictures. */
  judge: Matrix;
}

/** Statistics of what a convolution reads, all pictures standing before it; null where its inputs are too many. */
export async function collectStatistics(
  run: FloatRun,
  convolution: ConvolutionNode,
  { shape }: LayerSpec,
  random: Random,
): Promise<SeenInputs | null> {
  const inputs = shape[0] * shape[1] * shape[2];
  if (inputs > MOST_INPUTS) return null;
  const isHalved = run.streams.length > 1;
  const halves = Array.from({ length: isHalved ? 2 : 1 }, () => new CovarianceAccumulator(inputs, shape[3]));
  const wanted = Math.ceil((ROWS * halves.length) / run.pictures);
  try {
    for (const [n, stream] of run.streams.entries()) {
      const y = run.output(convolution, stream);
      const x = stream.inputsOf(convolution).x;
      sampleRows(convolution, x, y, wanted, random, halves[n % halves.length]!);
      y.dispose();
    }
  } catch (error) {
    for (const half of halves) half.dispose();
    throw error;
  }
  const found: LayerStatistics[] = [];
  for (const half of halves) found.push(await half.finish());
  const [first, last] = [found[0]!, found.at(-1)!];
  const pooled = await run.features.take(convolution);
  const rounding = first.covariance;
  const judge = isHalved ? last.covariance : { ...rounding, data: rounding.data.slice() };
  if (pooled) addTo(rounding, pooled);
  const middle = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, n) => (value + b[n]!) / 2);
  return {
    rounding,
    judge,
    inputMean: middle(first.inputMean, last.inputMean),
    outputMean: middle(first.outputMean, last.outputMean),
  };
}

/** Quantization to a size or to a loss instead of to given bits. */
import { InvalidArgumentError } from '@dsconv/core';
import { type Network, networkFileLength } from '@dsconv/models';
import { type CalibrationPictures, DEFAULT_FIT, DEFAULT_MEMORY } from '../calibration/calibrate-options.js';
import { choosePictures } from '../calibration/choose-pictures.js';
import { planNetwork, type QuantizationReport, type QuantizeNetworkOptions } from '../quantize-network.js';
import { BitAllocator } from './allocate-bits.js';
import type { AllocationReport, CurvePoint } from './allocation-report.js';
import type { Selection } from './knapsack.js';
import { LossMeter, type MeasuredLoss, smallestWithin, spread, type Trial } from './measure-networks.js';
import { checkTarget, kernelBudget, type QuantizationTarget } from './targets.js';

/** Pictures that sensitivities are measured on, at most. */
const MOST_PICTURES = 32;
/** Attempts to come below a file's length whose header was longer than foreseen. */
const ATTEMPTS = 4;
/** Points of a curve, at most, beside the measured ones. */
const CURVE_POINTS = 40;
/** Sizes among which the smallest with little enough loss is looked for. */
const SEARCH_POINTS = 32;

export interface TargetOptions extends QuantizeNetworkOptions {
  target: QuantizationTarget;
  seed?: number;
  memory?: number;
  /** Damping of covariances while rounding. */
  damping?: number;
}

/** Quantizes with bits and block sizes by layer, on pictures or without. */
export type Quantize<R extends QuantizationReport> = (
  network: Network,
  layers: NonNullable<QuantizeNetworkOptions['layers']>,
  pictures: CalibrationPictures | null,
) => Promise<{ network: Network; report: R }>;

type Quantized<R> = { network: Network; report: R & { allocation: AllocationReport } };

/**
 * @param pictures null where there are none
 * @param quantize makes a network of the kind that is wanted
 * @throws InvalidArgumentError when the target is malformed or out of reach, or as {@link planNetwork}
 */
export async function quantizeToTarget<R extends QuantizationReport>(
  network: Network,
  pictures: CalibrationPictures | null,
  options: TargetOptions,
  quantize: Quantize<R>,
): Promise<Quantized<R>> {
  const { target, curvePoints = 0, seed = 1, onProgress } = options;
  checkTarget(target);
  const plans = planNetwork(network, { ...options, bits: options.bits ?? 4 });
  if ('maxDrop' in target && (pictures === null || pictures.count < 2)) {
    throw new InvalidArgumentError(
      `target.maxDrop is measured on pictures, and there are ${pictures?.count ?? 0}; expected at least 2`,
    );
  }
  const isMeasured = 'maxDrop' in target || curvePoints > 0;
  // What is measured must not be what was fitted.
  const [fit, check] =
    pictures && pictures.count > 1 && isMeasured ? split(pictures, seed) : [pictures, null];
  const allocator = await BitAllocator.measure(network, plans, fit, {
    seed,
    memory: options.memory ?? DEFAULT_MEMORY,
    damping: options.damping ?? DEFAULT_FIT.roundingDamping,
    most: MOST_PICTURES,
    ...('maxDrop' in target ? {} : { budget: kernelBudget(network, target) }),
    ...(options.layers ? { layers: options.layers } : {}),
    ...(options.scales ? { scales: options.scales } : {}),
    ...(onProgress ? { onProgress: (progress) => onProgress({ ...progress, stage: 'measure' }) } : {}),
  });
  const meter = new LossMeter(allocator.network, check ?? allocator.pictures);
  const attempt = async (selection: Selection): Promise<Trial<R>> => {
    const made = await quantize(allocator.network, allocator.settings(selection), fit);
    return { selection, ...made, measured: await meter.measure(made.network) };
  };
  const measured = new Map<number, MeasuredLoss>();
  const note = ({ selection, measured: loss }: Trial<R>): void => void measured.set(selection.bytes, loss);
  const curve = allocator.curve();
  let chosen: Selection;
  let made: { network: Network; report: R };
  if ('maxDrop' in target) {
    const { best, trials } = await smallestWithin(spread(curve, SEARCH_POINTS), target.maxDrop, attempt);
    trials.forEach(note);
    [chosen, made] = [best.selection, best];
  } else {
    const make = (selection: Selection) => quantize(network, allocator.settings(selection), pictures);
    ({ chosen, made } = await reachSize(network, target, allocator, make));
  }
  const points = curvePoints > 0 ? [chosen, ...spread(curve, Math.max(2, curvePoints))] : [];
  for (const selection of points) {
    if (measured.has(selection.bytes)) continue;
    const trial = await attempt(selection);
    trial.network.dispose();
    note(trial);
  }
  const point = (selection: Selection): CurvePoint => ({
    kernelBytes: selection.bytes,
    bitsPerWeight: allocator.bitsPerWeight(selection.bytes),
    predictedLoss: selection.loss,
    measuredLoss: measured.get(selection.bytes)?.loss ?? null,
    agreement: measured.get(selection.bytes)?.agreement ?? null,
  });
  const shown = new Map([...spread(curve, CURVE_POINTS), ...points].map((one) => [one.bytes, one]));
  const allocation: AllocationReport = {
    target,
    pictures: pictures?.count ?? 0,
    chosen: point(chosen),
    curve: [...shown.values()].sort((a, b) => a.bytes - b.bytes).map(point),
    layers: allocator.sensitivities(chosen),
  };
  return { network: made.network, report: { ...made.report, allocation } };
}

/** Quantizes for a size. The header's length is known afterwards only, so a file that came out too long is made again with less. */
async function reachSize<R extends QuantizationReport>(
  network: Network,
  target: Exclude<QuantizationTarget, { maxDrop: number }>,
  allocator: BitAllocator,
  make: (selection: Selection) => Promise<{ network: Network; report: R }>,
): Promise<{ chosen: Selection; made: { network: Network; report: R } }> {
  const wanted = kernelBudget(network, target);
  const length =
    'bytes' in target
      ? target.bytes
      : 'ratio' in target
        ? networkFileLength(network) / target.ratio
        : Infinity;
  let budget = wanted;
  for (let attempt = 1; ; attempt++) {
    const chosen = allocator.within(budget);
    const made = await make(chosen);
    const { kernelBytesAfter, bytesAfter } = made.report;
    const excess = length === Infinity ? kernelBytesAfter - wanted : Math.ceil(bytesAfter - length);
    if (excess <= 0 || attempt === ATTEMPTS) return { chosen, made };
    made.network.dispose();
    budget = Math.min(budget, chosen.bytes) - excess;
  }
}

/** Two halves, drawn by seed: one to fit on, one to measure on. */
function split(pictures: CalibrationPictures, seed: number): [CalibrationPictures, CalibrationPictures] {
  const fitted = choosePictures(pictures.count, Math.ceil(pictures.count / 2), seed);
  const isFitted = new Set(fitted);
  const others = Array.from({ length: pictures.count }, (_, n) => n).filter((n) => !isFitted.has(n));
  const only = (indices: readonly number[]): CalibrationPictures => ({
    count: indices.length,
    read: (n) => pictures.read(indices[n]!),
  });
  return [only(fitted), only(others)];
}

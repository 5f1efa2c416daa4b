/** `inspect --against`: a quantized network and the float one side by side on pictures. */
import { readFile } from 'node:fs/promises';
import {
  type AllocationReport,
  checkOutputPath,
  inspectAgainst,
  type NetworkComparison,
  writeFileAtomic,
} from '@dsconv/converter';
import { plain } from '@dsconv/converter/report';
import { useBackend } from './backends.js';
import { openCalibrationPictures } from './calibration.js';
import type { InspectOptions } from './commands/inspect.js';
import { printJson } from './context.js';
import { FileError, toDSConvError } from './errors.js';
import { count, percent, table } from './format.js';
import { turn } from './interruption.js';
import type { Io } from './io.js';
import { openNetwork } from './networks.js';
import { checkRange } from './options.js';
import { createStages } from './progress.js';
import { COMPARISON_HEAD, comparisonCells } from './report/comparison-cells.js';
import { htmlReport } from './report/html.js';

export async function inspectBoth(
  file: string,
  options: InspectOptions,
  against: string,
  io: Io,
): Promise<void> {
  const { html, architecture, limit, seed } = options;
  checkRange('--limit', limit, 1);
  if (html !== undefined) await checkOutputPath(html);
  const allocation = options.pareto === undefined ? null : await readCurve(options.pareto);
  await useBackend(options, io);
  const silent = options.json === true;
  const network = await openNetwork(file, architecture, { io, silent });
  const float = await openNetwork(against, architecture);
  const pictures = await openCalibrationPictures(options.pictures!, options, network);
  const progress = createStages(io, silent, 'inspect');
  let comparison: NetworkComparison;
  try {
    comparison = await inspectAgainst(network, float, pictures, {
      most: limit,
      seed,
      onProgress: progress.update,
    });
  } finally {
    progress.finish();
  }
  await turn(io.signal);
  if (html !== undefined) {
    const page = await htmlReport({ file, against, network, comparison, allocation });
    await writeFileAtomic(html, new TextEncoder().encode(page));
  }
  const { reference, ...report } = comparison;
  if (options.json) printJson(io, { file, against, ...report, ...(html === undefined ? {} : { html }) });
  else io.stdout.write(describe(file, against, comparison, html));
}

/** @throws FileError when it is no curve that `quantize --pareto` wrote */
async function readCurve(path: string): Promise<AllocationReport> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw toDSConvError(error, path);
  });
  let curve: unknown;
  try {
    curve = JSON.parse(text);
  } catch {
    curve = null;
  }
  if (isCurve(curve)) return curve;
  throw new FileError(`'${path}' is no curve; expected the .json that 'quantize --pareto' wrote`);
}

function isCurve(value: unknown): value is AllocationReport {
  const { curve, chosen, pictures } = (value ?? {}) as Partial<AllocationReport>;
  const isPoint = (point: unknown): boolean => {
    const { kernelBytes, bitsPerWeight, predictedLoss, measuredLoss, agreement } = (point ?? {}) as Record<
      string,
      unknown
    >;
    const known = [kernelBytes, bitsPerWeight, predictedLoss, measuredLoss ?? 0, agreement ?? 0];
    return known.every((part) => typeof part === 'number' && Number.isFinite(part) && part >= 0);
  };
  return (
    Array.isArray(curve) &&
    curve.length > 0 &&
    curve.every(isPoint) &&
    isPoint(chosen) &&
    typeof pictures === 'number'
  );
}

function describe(
  file: string,
  against: string,
  { layers, pictures, divergence, agreement }: NetworkComparison,
  html: string | undefined,
): string {
  const rows = layers.map((layer) => [layer.name, ...comparisonCells(layer)]);
  const head = ['layer', ...COMPARISON_HEAD];
  return [
    `${file} against ${against}, on ${count(pictures, 'picture')}`,
    '',
    table(head, rows, [1, 3, 4, 5, 6, 7, 8, 9]),
    'harm: divergence of the answers with only this layer quantized, nats per picture; changed: classes that differ then.',
    'weights, alone, so far: signal-to-noise of weights, of outputs with this layer alone, and with all before it.',
    `whole network: divergence ${plain(divergence)}, ${percent(agreement, 1)} of the classes as in float`,
    ...(html === undefined ? [] : [`wrote ${html}`]),
    '',
  ].join('\n');
}

/** Runs the original graph, the folded one and the quantized one on the same inputs. */
import { BackendUnavailableError, DS_DEPTHWISE_CONV2D, DSCONV2D, InvalidArgumentError } from '@dsconv/core';
import type { GraphModel } from '@tensorflow/tfjs-converter';
import {
  dispose,
  getBackend,
  getKernel,
  type NamedTensorMap,
  ready,
  type Tensor,
} from '@tensorflow/tfjs-core';
import type { JsonRecord } from '../json-values.js';
import { ComparisonError, compareOutputs, LEAST_FLOAT_SNR, type OutputComparison } from './compare.js';
import { type ExampleOptions, exampleInputs } from './example-inputs.js';
import type { Graph } from './graph.js';
import type { ModelFiles } from './model-artifacts.js';
import { modelInputs } from './record-graph.js';
import { loadFiles, loadGraph, runGraph } from './run-model.js';
import { registerDSConvOps } from './runtime/register-ops.js';

/** What comparing found; `notCompared` says why it could not be done. */
export interface Verification {
  /** The outputs of the files, quantized, against the original's. */
  outputs: OutputComparison[];
  /** The worst agreement of the folded float graph with the original, dB, over outputs and convolutions; null where all were equal. */
  foldingSnrDb: number | null;
  /** The worst agreement of the stored filters with float convolutions of the same values, dB; null where all were equal. */
  storedSnrDb: number | null;
  /** 'given' or 'random'. */
  inputs: 'given' | 'random';
  notCompared: string | null;
}

/** The forms of a model that are compared. */
export interface Forms {
  /** As it was read. */
  original: Graph;
  /** With everything folded, float. */
  folded: Graph;
  /** The files that are about to be written. */
  files: ModelFiles;
  /** Quantized, with float activations. */
  stored: Graph;
  /** Float convolutions of the quantized values. */
  dequantized: Graph;
  /** The model.json. */
  source: JsonRecord;
}

/** Where graphs are compared. */
interface Points {
  outputs: string[];
  convolutions: string[];
}

/** Operators whose results may jump when a value changes in the last digit: outputs behind them are compared, but held to nothing. */
const JUMPY = /TopK|ArgM|NonMax|Where|Gather|Switch|Less|Greater|Equal|Floor|Round|Sign$|Cast|While|If$/;

/**
 * @throws ComparisonError when folding or storing changed more than rounding, or the converted graph does not run
 * @throws BackendUnavailableError when the current backend has no DSConv kernels
 * @throws InvalidArgumentError when an input's shape is open and none is given
 */
export async function verifyGraph(
  forms: Forms,
  points: Points,
  options: ExampleOptions,
): Promise<Verification> {
  await ready();
  checkBackend();
  registerDSConvOps();
  let names = [...points.outputs, ...points.convolutions];
  const tensors: Tensor[] = [];
  let inputs: NamedTensorMap = {};
  const run = async (what: string, loading: Promise<GraphModel>, wanted: readonly string[]) => {
    try {
      const model = await loading;
      try {
        if (Object.keys(inputs).length === 0) inputs = exampleInputs(modelInputs(model), options);
        const outputs = await runGraph(model, inputs, wanted);
        tensors.push(...outputs.filter(Boolean));
        return outputs;
      } finally {
        model.dispose();
      }
    } catch (error) {
      if (error instanceof InvalidArgumentError && what === 'original') throw error;
      throw new ComparisonError(`the ${what} graph does not run: ${firstLine(error)}`);
    }
  };
  const gate = (what: string, expected: Tensor[], found: Tensor[]): Promise<number | null> =>
    checkFloats(what, names, expected, found, points, isJumpy(forms.original));
  try {
    let expected: Tensor[];
    try {
      const original = (): Promise<Tensor[]> =>
        run('original', loadGraph(forms.original, forms.source), names);
      expected = await original().catch((error: unknown) => {
        // What is in a branch that is not taken cannot be asked for by name; then only outputs are compared.
        if (!(error instanceof ComparisonError) || points.convolutions.length === 0) throw error;
        names = [...points.outputs];
        return original();
      });
    } catch (error) {
      if (error instanceof ComparisonError) return notCompared(error.message);
      throw error;
    }
    const folded = await run('folded', loadGraph(forms.folded, forms.source), names);
    const foldingSnrDb = await gate('folding', expected, folded);
    const stored = await run('quantized', loadGraph(forms.stored, forms.source), names);
    const dequantized = await run('dequantized', loadGraph(forms.dequantized, forms.source), names);
    const storedSnrDb = await gate('storing', dequantized, stored);
    const found = await run('quantized', loadFiles(forms.files), points.outputs);
    const outputs = await compareOutputs(points.outputs, expected.slice(0, points.outputs.length), found);
    const given = options.inputs ? 'given' : 'random';
    return { outputs, foldingSnrDb, storedSnrDb, inputs: given, notCompared: null };
  } finally {
    dispose(tensors);
    dispose(inputs);
  }
}

/** A comparison that was not made. */
export function notCompared(reason: string): Verification {
  return { outputs: [], foldingSnrDb: null, storedSnrDb: null, inputs: 'random', notCompared: reason };
}

function isJumpy({ nodes }: Graph): boolean {
  return [...nodes.values()].some(({ op }) => JUMPY.test(op));
}

/** Floats must agree wherever there are as many; the rest depends on comparisons of values. */
async function checkFloats(
  what: string,
  names: readonly string[],
  expected: readonly Tensor[],
  found: readonly Tensor[],
  { convolutions }: Points,
  jumpy: boolean,
): Promise<number | null> {
  const isConvolution = new Set(convolutions);
  const kept = names.flatMap((name, n) => {
    const [a, b] = [expected[n], found[n]];
    // What a branch that was not taken would give is missing in both.
    if (!a || !b || a.dtype !== 'float32') return [];
    return isConvolution.has(name) || a.shape.join() === b.shape.join() ? [n] : [];
  });
  const pick = <T>(list: readonly T[]): T[] => kept.map((n) => list[n]!);
  let worst: number | null = null;
  for (const { name, snrDb } of await compareOutputs(pick(names), pick(expected), pick(found))) {
    if (snrDb === null) continue;
    if (snrDb < LEAST_FLOAT_SNR && (isConvolution.has(name) || !jumpy)) {
      throw new ComparisonError(
        `${what} changed node '${name}', which agrees to ${snrDb.toFixed(1)} dB in floats; expected at least ${LEAST_FLOAT_SNR} dB`,
      );
    }
    worst = worst === null ? snrDb : Math.min(worst, snrDb);
  }
  return worst;
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
}

/** @throws BackendUnavailableError when the current backend has no DSConv kernels */
export function checkBackend(): void {
  const name = getBackend();
  if (getKernel(DSCONV2D, name) && getKernel(DS_DEPTHWISE_CONV2D, name)) return;
  throw new BackendUnavailableError(
    `the current TensorFlow.js backend '${name}' has no DSConv kernels to compare with; expected a backend such as 'dsconv-cpu', or verify: false`,
  );
}

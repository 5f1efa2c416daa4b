/** Runs the original LayersModel, the folded one and the quantized one on the same inputs. */
import { InvalidArgumentError } from '@dsconv/core';
import { dispose, ready, type Tensor } from '@tensorflow/tfjs-core';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import { ComparisonError, compareOutputs, LEAST_FLOAT_SNR } from '../graph/compare.js';
import { type ExampleOptions, exampleInputs } from '../graph/example-inputs.js';
import type { ModelFiles } from '../graph/model-artifacts.js';
import { checkBackend, notCompared, type Verification } from '../graph/verify-graph.js';
import {
  disposeLayers,
  layersInputs,
  layersOutputs,
  loadLayers,
  loadLayersFiles,
  runLayers,
} from './run-layers.js';
import type { AssembledLayers } from './write-layers.js';

/** The forms of a model that are compared. */
export interface LayersForms {
  /** As it was read, layers that learn frozen; it stays the caller's. */
  original: LayersModel;
  /** As it was read, where layers learn: what the outputs are reported against. The caller's. */
  trained?: LayersModel;
  /** With everything folded, float. */
  folded: AssembledLayers;
  /** Quantized, with float activations. */
  stored: AssembledLayers;
  /** Float convolutions of the quantized values. */
  dequantized: AssembledLayers;
  /** The files that are about to be written. */
  files: ModelFiles;
}

/**
 * @param points convolutions whose outputs are compared too, as far as they are layers of the model itself
 * @throws ComparisonError when folding or storing changed more than rounding, or the converted model does not run
 * @throws BackendUnavailableError when the current backend has no DSConv kernels
 * @throws InvalidArgumentError when an input's shape is open and none is given
 */
export async function verifyLayers(
  { original, trained, folded, stored, dequantized, files }: LayersForms,
  points: readonly string[],
  options: ExampleOptions,
): Promise<Verification> {
  await ready();
  checkBackend();
  const inputs = Object.values(exampleInputs(layersInputs(original), options));
  const outputNames = layersOutputs(original);
  const names = [...outputNames, ...points];
  const tensors: Tensor[] = [];
  const run = async (what: string, loading: Promise<LayersModel>, wanted: readonly string[]) => {
    let model: LayersModel | null = null;
    try {
      model = await loading;
      const outputs = runLayers(model, inputs, wanted);
      tensors.push(...outputs);
      return outputs;
    } catch (error) {
      if (error instanceof InvalidArgumentError) throw error;
      throw new ComparisonError(`the ${what} model does not run: ${firstLine(error)}`);
    } finally {
      if (model) disposeLayers(model);
    }
  };
  try {
    let expected: Tensor[];
    try {
      expected = runLayers(original, inputs, points);
      tensors.push(...expected);
    } catch (error) {
      return notCompared(`the original model does not run: ${firstLine(error)}`);
    }
    const foldingSnrDb = await gate(
      'folding',
      names,
      expected,
      await run('folded', loadLayers(folded), points),
    );
    const float = await run('dequantized', loadLayers(dequantized), points);
    const storedSnrDb = await gate(
      'storing',
      names,
      float,
      await run('quantized', loadLayers(stored), points),
    );
    const found = await run('quantized', loadLayersFiles(files), []);
    const wanted = trained ? runLayers(trained, inputs, []) : expected.slice(0, outputNames.length);
    tensors.push(...wanted);
    const outputs = await compareOutputs(outputNames, wanted, found);
    return {
      outputs,
      foldingSnrDb,
      storedSnrDb,
      inputs: options.inputs ? 'given' : 'random',
      notCompared: null,
    };
  } finally {
    dispose([...new Set([...tensors, ...inputs])]);
  }
}

/** Floats must agree everywhere. */
async function gate(
  what: string,
  names: readonly string[],
  expected: readonly Tensor[],
  found: readonly Tensor[],
): Promise<number | null> {
  let worst: number | null = null;
  for (const { name, snrDb } of await compareOutputs(names, expected, found)) {
    if (snrDb === null) continue;
    if (snrDb < LEAST_FLOAT_SNR) {
      throw new ComparisonError(
        `${what} changed layer '${name}', which agrees to ${snrDb.toFixed(1)} dB in floats; expected at least ${LEAST_FLOAT_SNR} dB`,
      );
    }
    worst = worst === null ? snrDb : Math.min(worst, snrDb);
  }
  return worst;
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
}

/** A whole TensorFlow.js LayersModel in, a LayersModel with frozen DSConv layers out. Layers that learn keep the integers that they have. */
import type { DSConvFilter } from '@dsconv/core';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import { firstPicture } from '../graph/calibrate-convolutions.js';
import {
  type Conversion,
  type ConversionReport,
  type ConvertOptions,
  totals,
} from '../graph/convert-graph.js';
import { modelFiles } from '../graph/model-artifacts.js';
import { planLayers } from '../graph/plan-convolutions.js';
import { type FoundConvolution, quantizeConvolutions } from '../graph/quantize-convolutions.js';
import type { StoredWeight } from '../graph/stored-weights.js';
import { notCompared, type Verification } from '../graph/verify-graph.js';
import { isRecord, type JsonRecord } from '../json-values.js';
import { FOLDED_CLASS, type FoldedLayers, foldLayers } from './fold-layers.js';
import { isKnown } from './freeze-layers.js';
import { type FrozenSource, freezeSource, load } from './freeze-source.js';
import { LayerWeights } from './layer-weights.js';
import { layersRecorder } from './record-layers.js';
import { disposeLayers, layersInputs } from './run-layers.js';
import { registerDSConvLayers } from './runtime/register-layers.js';
import { readTopology } from './topology.js';
import { allContainers, statedInputs } from './traverse-layers.js';
import { verifyLayers } from './verify-layers.js';
import { type AssembledLayers, assembleLayers } from './write-layers.js';

/**
 * @param json the model.json, of which everything but layers and weights is kept; what it says about training is not
 * @param all weights as read
 * @throws FileFormatError, LayerError when the topology or a weight is malformed, or a layer learns and its package is not imported
 * @throws ComparisonError when the converted model computes something else
 * @throws InvalidArgumentError, NotFiniteError, BackendUnavailableError
 */
export async function convertLayersModel(
  json: JsonRecord,
  all: ReadonlyMap<string, StoredWeight>,
  file: string,
  before: Pick<ConversionReport, 'format' | 'bytesBefore'>,
  options: ConvertOptions,
): Promise<Conversion> {
  registerDSConvLayers();
  const read = withoutOptimizer(json, all);
  const frozen = await freezeSource(json.modelTopology as JsonRecord, read, file);
  try {
    const source = frozen ?? { topology: json.modelTopology as JsonRecord, weights: read };
    return await convertSource(json, source, frozen, file, before, options);
  } finally {
    if (frozen) disposeLayers(frozen.trained);
  }
}

/** @param frozen what became of layers that learn, where there are any; `source` is the model without them */
async function convertSource(
  json: JsonRecord,
  source: Pick<FrozenSource, 'topology' | 'weights'>,
  frozen: FrozenSource | null,
  file: string,
  before: Pick<ConversionReport, 'format' | 'bytesBefore'>,
  options: ConvertOptions,
): Promise<Conversion> {
  const { topology } = source;
  const weights = new LayerWeights(source.weights, file);
  const folded = foldLayers(readTopology(topology, file), weights, file, {
    isKnown,
    ...(options.dense === undefined ? {} : { dense: options.dense }),
  });
  const original = await loadOriginal(topology, weights, folded, file);
  try {
    return await convert(json, { topology, weights, frozen }, folded, original, before, options);
  } finally {
    if (original.model) disposeLayers(original.model);
  }
}

async function convert(
  json: JsonRecord,
  source: { topology: JsonRecord; weights: LayerWeights; frozen: FrozenSource | null },
  folded: FoldedLayers,
  original: Original,
  before: Pick<ConversionReport, 'format' | 'bytesBefore'>,
  options: ConvertOptions,
): Promise<Conversion> {
  const { activationBits = 8 } = options;
  const { topology, weights, frozen } = source;
  const { container, convolutions } = folded;
  const plans = planLayers(
    [...convolutions].map(([name, { kind, shape, isFirst }]) => ({ name, kind, depth: shape[2], isFirst })),
    options,
  );
  const assemble = (filters: ReadonlyMap<string, DSConvFilter>): AssembledLayers =>
    assembleLayers(topology, folded, weights, (name, { bias }) => {
      return { filter: filters.get(name)!, bias, activationBits };
    });
  const inputsOf = original.model ? layersInputs(original.model) : statedInputs(container);
  const rest = allContainers(container).flatMap((each) => each.layers);
  const normalizes = rest.some(({ className }) => className === 'BatchNormalization');
  const recorder = layersRecorder(normalizes, inputsOf, assemble, options);
  const {
    found,
    layers: quantizedLayers,
    accuracy,
  } = await quantizeConvolutions(convolutions, plans, options, recorder);
  const quantized = (bits: number | null): AssembledLayers =>
    assembleLayers(topology, folded, weights, (name) => ({ ...found.get(name)!, activationBits: bits }));
  const { modelTopology, weights: stored } = quantized(activationBits);
  const { weightsManifest: _, trainingConfig: __, training_config: ___, ...head } = json;
  const files = modelFiles(
    { format: 'layers-model', ...head, modelTopology, convertedBy: '@dsconv/converter' },
    stored,
  );
  const { pictures, inputs = pictures && (await firstPicture(pictures, recorder.picture())) } = options;
  const verification = await verify(original, { ...options, ...(inputs ? { inputs } : {}) }, folded, {
    folded: assembleLayers(topology, folded, weights, (_, convolution) => {
      return { filter: convolution.weights, bias: convolution.bias, activationBits: null };
    }),
    stored: quantized(null),
    dequantized: assembleLayers(topology, folded, weights, (name) => dequantized(found.get(name)!)),
    files,
    ...(frozen ? { trained: frozen.trained } : {}),
  });
  const layers = [...(frozen?.layers ?? []), ...quantizedLayers];
  const left = [...(frozen?.left ?? []), ...folded.left];
  const isFrozen = new Set(frozen?.layers.map(({ name }) => name));
  const kept: Record<string, number> = {};
  for (const { name, className } of rest) {
    if (className !== FOLDED_CLASS && !isFrozen.has(name)) kept[className] = (kept[className] ?? 0) + 1;
  }
  const report = { ...before, ...totals(layers, files), layers, left, accuracy, kept, verification };
  return { files, report };
}

function dequantized({ filter, bias }: FoundConvolution) {
  return { filter: filter.dequantize(), bias, activationBits: null };
}

async function verify(
  original: Original,
  options: ConvertOptions,
  { container, convolutions }: FoldedLayers,
  forms: Omit<Parameters<typeof verifyLayers>[0], 'original'>,
): Promise<Verification> {
  if (options.verify === false) return notCompared('not asked for');
  const { model, reason } = original;
  if (!model) return notCompared(reason);
  // Layers within nested models are not reachable from outside, and a separable layer's first half is no layer of the original.
  const own = container.layers.filter(({ name, className, calls }) => {
    return className === FOLDED_CLASS && calls.length === 1 && hasLayer(model, name);
  });
  const points = own.map(({ name }) => name).filter((name) => convolutions.has(name));
  return verifyLayers({ original: model, ...forms }, points, options);
}

function hasLayer({ layers }: LayersModel, name: string): boolean {
  return layers.some((layer) => layer.name === name);
}

/** The model as it was read, or why TensorFlow.js cannot run it although the converted one may run. */
type Original = { model: LayersModel; reason: null } | { model: null; reason: string };

/** @throws FileFormatError when TensorFlow.js refuses the model for a reason that is not a layer it does not know */
async function loadOriginal(
  topology: JsonRecord,
  weights: LayerWeights,
  { left, convolutions }: FoldedLayers,
  file: string,
): Promise<Original> {
  const unknown = left.find(({ op }) => !isKnown(op));
  if (unknown) {
    const reason = `TensorFlow.js does not know the class ${unknown.op} of layer '${unknown.name}'`;
    return { model: null, reason };
  }
  const grouped = [...convolutions].find(([, { groups }]) => groups > 1);
  if (grouped) {
    const reason = `TensorFlow.js has no convolutions in groups, such as layer '${grouped[0]}'`;
    return { model: null, reason };
  }
  return { model: await load(topology, weights.weights, file), reason: null };
}

/** The state of an optimizer is of no use to layers that do not learn. */
function withoutOptimizer(
  { weightsManifest }: JsonRecord,
  all: ReadonlyMap<string, StoredWeight>,
): Map<string, StoredWeight> {
  const weights = new Map(all);
  for (const group of Array.isArray(weightsManifest) ? weightsManifest : []) {
    const entries = isRecord(group) && Array.isArray(group.weights) ? group.weights : [];
    for (const entry of entries) {
      if (isRecord(entry) && entry.group === 'optimizer') weights.delete(entry.name as string);
    }
  }
  return weights;
}

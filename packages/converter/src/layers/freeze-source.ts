/** A LayersModel on disk with layers that learn: they are frozen before anything else of it is converted. */
import { FileFormatError } from '@dsconv/models';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import type { ConvolutionReport } from '../graph/quantize-convolution.js';
import type { StoredWeight } from '../graph/stored-weights.js';
import type { JsonRecord } from '../json-values.js';
import type { LayerConvolution } from './fold-layers.js';
import { type FrozenTopology, freezeTopology, isKnown } from './freeze-layers.js';
import { LayerError } from './layer-error.js';
import { disposeLayers, loadLayers } from './run-layers.js';
import { TRAINED_CLASSES } from './runtime/names.js';
import { readTopology } from './topology.js';
import { allContainers } from './traverse-layers.js';

export interface FrozenSource {
  /** Of the frozen model. */
  topology: JsonRecord;
  weights: Map<string, StoredWeight>;
  /** One for each layer that was frozen. */
  layers: ConvolutionReport[];
  left: FrozenTopology['left'];
  /** The model as it was read, the caller's to dispose. */
  trained: LayersModel;
}

/**
 * @returns null where nothing learns
 * @throws LayerError naming a layer of a class that the program has not imported
 * @throws FileFormatError when the topology is malformed or TensorFlow.js refuses the model
 * @throws NotFiniteError naming the layer whose numbers are not finite
 */
export async function freezeSource(
  topology: JsonRecord,
  weights: ReadonlyMap<string, StoredWeight>,
  file: string,
): Promise<FrozenSource | null> {
  const learning = allContainers(readTopology(topology, file))
    .flatMap(({ layers }) => layers)
    .filter(({ className }) => TRAINED_CLASSES.includes(className));
  if (learning.length === 0) return null;
  const missing = learning.find(({ className }) => !isKnown(className));
  if (missing) {
    throw new LayerError(
      file,
      missing,
      "is one that learns, of a package that is not there; expected '@dsconv/layers' to be imported before, so that it can be frozen",
    );
  }
  const trained = await load(topology, weights, file);
  try {
    const frozen = await freezeTopology(trained, topology, weights, file);
    return {
      topology: frozen.assembled.modelTopology,
      weights: new Map(frozen.assembled.weights.map((weight) => [weight.name, weight])),
      layers: [...frozen.convolutions].map(([name, convolution]) => describe(name, convolution)),
      left: frozen.left,
      trained,
    };
  } catch (error) {
    disposeLayers(trained);
    throw error;
  }
}

/** @throws FileFormatError when TensorFlow.js refuses the model */
export async function load(
  topology: JsonRecord,
  weights: ReadonlyMap<string, StoredWeight>,
  file: string,
): Promise<LayersModel> {
  try {
    return await loadLayers({ modelTopology: topology, weights: [...weights.values()] });
  } catch (error) {
    const why = (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
    throw new FileFormatError(file, `is refused by TensorFlow.js: ${why}`, { cause: error });
  }
}

function describe(name: string, { kind, shape, folded, trained }: LayerConvolution): ConvolutionReport {
  const { filter } = trained!;
  return {
    name,
    kind,
    shape,
    folded,
    bits: filter.bits,
    blockSize: filter.blockSize,
    perChannel: filter.stored('kds') === undefined,
    bytesBefore: 4 * filter.size,
    bytesAfter: filter.byteLength,
    // The integers are those that were trained.
    snrDb: null,
  };
}

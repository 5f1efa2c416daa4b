/** An ONNX file as a TensorFlow.js graph. */
import type { LeftNode } from '../graph/fold-graph.js';
import type { Graph } from '../graph/graph.js';
import type { JsonRecord } from '../json-values.js';
import { readExternalData } from './external-data.js';
import { MessageReader } from './fields.js';
import { type ImportedGraph, importGraph } from './import-graph.js';
import { OpenBatchError } from './node-context.js';
import type { ModelProto } from './proto.js';
import { readModel } from './read-model.js';
import type { ImportOptions } from './signature.js';

export interface OnnxGraph {
  graph: Graph;
  /** What a model.json says beside nodes and weights: the signature has ONNX's names. */
  source: JsonRecord;
  /** Bytes of the file and of the files that it keeps weights in. */
  bytes: number;
  /** Quantizations of activations that were left out. */
  dropped: LeftNode[];
  /** What the converted model cannot do that the file can, one sentence each. */
  notes: string[];
}

/** Where a node needs to know how many pictures there are, and nothing says so. */
const FIXED_BATCH = 1;

/**
 * Reads an ONNX file and translates it.
 *
 * @param path for errors, and the folder of external data
 * @throws FileFormatError, NodeError, FileAccessError when the file or its external data is missing, damaged or has what is not known
 * @throws InvalidArgumentError when a size but the batch is open and options have none
 */
export async function readOnnx(bytes: Uint8Array, path: string, options: ImportOptions): Promise<OnnxGraph> {
  const model = readModel(bytes, new MessageReader(path));
  const external = await readExternalData(model, path);
  const { imported, notes } = importBest(model, path, options);
  const source = {
    format: 'graph-model',
    generatedBy: model.producer,
    signature: imported.signature,
    modelTopology: { library: {}, versions: { producer: 0 } },
  };
  const { graph, dropped } = imported;
  return { graph, source, bytes: bytes.length + external, dropped, notes };
}

/** An open batch stays open unless a node stands in the way. */
function importBest(
  model: ModelProto,
  path: string,
  options: ImportOptions,
): { imported: ImportedGraph; notes: string[] } {
  try {
    return { imported: importGraph(model, path, options, null), notes: [] };
  } catch (error) {
    if (!(error instanceof OpenBatchError)) throw error;
    const given = Object.values(options.inputShapes ?? {})[0]?.[0];
    const imported = importGraph(model, path, options, given ?? FIXED_BATCH);
    const notes = [
      `the open batch became ${given ?? FIXED_BATCH}, since node '${error.node}' (${error.op}) needs to know it`,
    ];
    return { imported, notes };
  }
}

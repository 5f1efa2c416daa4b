/** From the bytes of an ONNX file to the files of the quantized model. */
import { FileFormatError, nearest } from '@dsconv/models';
import { type Conversion, type ConvertOptions, convertGraph } from '../graph/convert-graph.js';
import { type Graph, parseReference } from '../graph/graph.js';
import { type OnnxGraph, readOnnx } from './read-onnx.js';
import type { Signature } from './signature.js';

/**
 * Converts an ONNX model: it is translated to a TensorFlow.js graph, which then goes the way of every GraphModel.
 *
 * @param path for errors, and the folder of external data
 * @throws as {@link readOnnx} and {@link convertGraph}
 */
export async function convertOnnx(
  bytes: Uint8Array,
  path: string,
  options: ConvertOptions,
): Promise<Conversion> {
  const onnx = await readOnnx(bytes, path, options);
  const { graph, source, bytes: bytesBefore, dropped, notes } = onnx;
  keepNodes(graph, options.keep ?? []);
  const before = { format: 'onnx', bytesBefore, dropped, notes } as const;
  return convertGraph(graph, source, before, { ...options, ...byNode(onnx, options) });
}

function keepNodes(graph: Graph, names: readonly string[]): void {
  for (const name of names) {
    if (graph.nodes.has(name)) {
      graph.outputs.add(name);
      continue;
    }
    const similar = nearest(name, graph.nodes.keys()).map((found) => `'${found}'`);
    throw new FileFormatError(
      graph.file,
      `the node '${name}' to keep is not there; the nearest names are ${similar.join(', ') || 'none'}`,
    );
  }
}

/** Options by the name of an input, by the node that it became: ONNX allows characters that TensorFlow.js does not. */
function byNode(
  { source }: OnnxGraph,
  { inputs, inputShapes }: ConvertOptions,
): Pick<ConvertOptions, 'inputs' | 'inputShapes'> {
  const ports = (source.signature as Signature).inputs;
  const rename = <T>(record: Readonly<Record<string, T>>): Record<string, T> => {
    const entries = Object.entries(record).map(([name, value]): [string, T] => {
      const port = Object.hasOwn(ports, name) ? ports[name] : undefined;
      return [port ? parseReference(port.name).name : name, value];
    });
    return Object.fromEntries(entries);
  };
  return {
    ...(inputs ? { inputs: rename(inputs) } : {}),
    ...(inputShapes ? { inputShapes: rename(inputShapes) } : {}),
  };
}

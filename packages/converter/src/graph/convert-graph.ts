/** A whole TensorFlow.js GraphModel in, a GraphModel with `DSConv2D` nodes out. */
import type { JsonRecord } from '../json-values.js';
import type { PictureLayouts } from '../onnx/signature.js';
import type { AccuracyOptions, AccuracyReport } from './accuracy.js';
import type { ExampleOptions } from './example-inputs.js';
import { type FoldedGraph, foldGraph, type LeftNode } from './fold-graph.js';
import type { Graph } from './graph.js';
import { type ModelFiles, modelFiles, topologyOf } from './model-artifacts.js';
import type { QuantizeOptions } from './plan-convolutions.js';
import type { ConvolutionReport } from './quantize-convolution.js';
import { floatGraph, type QuantizedGraph, quantizeGraph, withFloatActivations } from './quantize-graph.js';
import { notCompared, type Verification, verifyGraph } from './verify-graph.js';

export interface ConvertOptions extends QuantizeOptions, AccuracyOptions, ExampleOptions, PictureLayouts {
  /** Quantize products with a constant matrix too, as convolutions of 1 × 1. Default true. */
  dense?: boolean;
  /** Names of nodes that must stay readable although no output needs them. */
  keep?: readonly string[];
  /** Compare the converted model with the original. Default true. */
  verify?: boolean;
}

/** What converting did. All bytes are bytes of files. */
export interface ConversionReport {
  format: 'graph-model' | 'layers-model' | 'onnx';
  bytesBefore: number;
  bytesAfter: number;
  /** Bits, scales included, per weight of all quantized convolutions. */
  bitsPerWeight: number;
  layers: ConvolutionReport[];
  /** What looks like a convolution and was left as it is, and why. */
  left: LeftNode[];
  /** What was done for accuracy beyond rounding. */
  accuracy: AccuracyReport;
  /** Operators that were kept, with their numbers. */
  kept: Record<string, number>;
  verification: Verification;
  /** Of ONNX: quantizations of activations that were left out, as the converted model has its own. */
  dropped?: readonly LeftNode[];
  /** Of ONNX: what the converted model cannot do that the file can, a sentence each. */
  notes?: readonly string[];
}

export interface Conversion {
  files: ModelFiles;
  report: ConversionReport;
}

/**
 * @param graph as read; it is folded in place
 * @param source the model.json, of which everything but nodes and weights is kept
 * @param before what the report says about the source
 */
export async function convertGraph(
  graph: Graph,
  source: JsonRecord,
  before: Pick<ConversionReport, 'format' | 'bytesBefore' | 'dropped' | 'notes'>,
  options: ConvertOptions,
): Promise<Conversion> {
  const original = graph.copy();
  const folded = foldGraph(graph, options.dense === undefined ? {} : { dense: options.dense });
  const result = await quantizeGraph(folded, source, options);
  const { graph: quantized, found } = result;
  const { weightsManifest: _, ...head } = source;
  const files = modelFiles(
    { ...head, modelTopology: topologyOf(quantized, source), convertedBy: '@dsconv/converter' },
    quantized.weights.values(),
  );
  const verification =
    options.verify === false
      ? notCompared('not asked for')
      : await verifyGraph(
          {
            original,
            folded: floatGraph(folded),
            files,
            stored: withFloatActivations(quantized),
            dequantized: floatGraph(folded, found),
            source,
          },
          { outputs: [...graph.outputs], convolutions: [...folded.convolutions.keys()] },
          result.inputs ? { ...options, inputs: result.inputs } : options,
        );
  return { files, report: { ...before, ...describe(folded, result, files), verification } };
}

function describe(
  { left }: FoldedGraph,
  { graph, layers, accuracy }: QuantizedGraph,
  files: ModelFiles,
): Pick<ConversionReport, 'bytesAfter' | 'bitsPerWeight' | 'layers' | 'left' | 'accuracy' | 'kept'> {
  const kept: Record<string, number> = {};
  for (const { op } of graph.nodes.values()) {
    if (op !== 'Const' && !op.startsWith('DS')) kept[op] = (kept[op] ?? 0) + 1;
  }
  return { ...totals(layers, files), layers, left, accuracy, kept };
}

/** Sums over layers and files. */
export function totals(
  layers: readonly ConvolutionReport[],
  files: ModelFiles,
): Pick<ConversionReport, 'bytesAfter' | 'bitsPerWeight'> {
  const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);
  const weights = sum(layers.map(({ bytesBefore }) => bytesBefore / 4));
  const bits = 8 * sum(layers.map(({ bytesAfter }) => bytesAfter));
  return {
    bytesAfter: sum([...files.values()].map(({ length }) => length)),
    bitsPerWeight: weights === 0 ? 0 : bits / weights,
  };
}

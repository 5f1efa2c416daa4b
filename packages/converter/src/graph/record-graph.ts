/** Records a GraphModel's kernel calls, for bias correction and calibration. */
import { capture, type DSConvFilter, InvalidArgumentError } from '@dsconv/core';
import type { GraphModel } from '@tensorflow/tfjs-converter';
import { type DataType, dispose, type NamedTensorMap, type Tensor, zeros } from '@tensorflow/tfjs-core';
import { describeTrace, type NetworkStructure } from '../calibration/structure.js';
import type { JsonRecord } from '../json-values.js';
import type { Recordable } from './accuracy.js';
import { type ExampleOptions, exampleInputs, type ModelInput } from './example-inputs.js';
import type { Graph } from './graph.js';
import { pictureInput } from './picture-input.js';
import type { AssembledGraph } from './quantize-graph.js';
import { loadGraph } from './run-model.js';
import { registerDSConvOps } from './runtime/register-ops.js';
import { storedFilter } from './runtime/stored-filters.js';

/** @param assemble gives the graph with filters in place */
export function graphRecorder(
  folded: Graph,
  source: JsonRecord,
  assemble: (filters: ReadonlyMap<string, DSConvFilter>) => AssembledGraph,
  options: ExampleOptions,
): Recordable {
  return {
    normalizes: [...folded.nodes.values()].some(({ op }) => op.startsWith('FusedBatchNorm')),
    picture: () => pictureInput(placeholders(folded), options),
    async record(filters, batch) {
      registerDSConvOps();
      const assembled = assemble(filters);
      const model = await loadGraph(assembled.graph, source);
      try {
        return recordModel(model, assembled, [...folded.outputs], filters, batch, options);
      } finally {
        model.dispose();
      }
    },
  };
}

function recordModel(
  model: GraphModel,
  { weights }: AssembledGraph,
  outputs: string[],
  filters: ReadonlyMap<string, DSConvFilter>,
  batch: number | null,
  options: ExampleOptions,
): NetworkStructure {
  const inputs = modelInputs(model);
  const examples: NamedTensorMap =
    batch === null ? exampleInputs(inputs, options) : pictureExample(inputs, options, batch);
  try {
    const names = Object.keys(examples);
    const trace = capture(
      (...tensors: Tensor[]) => {
        const named = Object.fromEntries(names.map((name, n) => [name, tensors[n]!]));
        return model.execute(named, outputs);
      },
      ...Object.values(examples),
    );
    const layers = new Map<DSConvFilter, string>();
    for (const [name, weight] of weights) {
      const [tensor] = model.weights[weight]!;
      // The filter that the run made of the weight: it does not need the format any more.
      layers.set(storedFilter(tensor!, filters.get(name)!), name);
    }
    return describeTrace(trace, (filter) => layers.get(filter));
  } finally {
    dispose(examples);
  }
}

function pictureExample(
  inputs: readonly ModelInput[],
  options: ExampleOptions,
  batch: number,
): NamedTensorMap {
  const { shape, planar, dtype } = pictureInput(inputs, options);
  const [height, width, channels] = shape;
  const sizes = planar ? [channels, height, width] : [height, width, channels];
  return { [inputs[0]!.name]: zeros([batch, ...sizes], dtype) };
}

/** Inputs as a loaded model states them. */
export function modelInputs(model: GraphModel): ModelInput[] {
  return model.inputs.map(({ name, shape, dtype }) => {
    return { name, shape: shape?.map((d) => (d >= 0 ? d : null)) ?? null, dtype };
  });
}

/** Inputs as the graph states them; only what pictures need. */
function placeholders(graph: Graph): ModelInput[] {
  const inputs: ModelInput[] = [];
  for (const { name, op, attr } of graph.nodes.values()) {
    if (op === 'Placeholder') inputs.push({ name, shape: shapeOf(attr.shape), dtype: dtypeOf(attr.dtype) });
  }
  if (inputs.length === 0) throw new InvalidArgumentError('pictures are given, but the model has no input');
  return inputs;
}

function shapeOf(attribute: unknown): (number | null)[] | null {
  const { shape } = (attribute ?? {}) as { shape?: { dim?: { size?: string | number }[] } };
  if (!Array.isArray(shape?.dim)) return null;
  return shape.dim.map(({ size }) => (Number(size) > 0 ? Number(size) : null));
}

function dtypeOf(attribute: unknown): DataType {
  const { type } = (attribute ?? {}) as { type?: unknown };
  return type === 'DT_INT32' || type === 'DT_UINT8' || type === 3 || type === 4 ? 'int32' : 'float32';
}

/** Records a LayersModel's kernel calls, for bias correction and calibration. */
import { capture, DSConvFilter, type Trace } from '@dsconv/core';
import { dispose, type NamedTensorMap, type Tensor, zeros } from '@tensorflow/tfjs-core';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import { describeTrace, type NetworkStructure } from '../calibration/structure.js';
import type { PictureInput, Recordable } from '../graph/accuracy.js';
import { type ExampleOptions, exampleInputs, type ModelInput } from '../graph/example-inputs.js';
import { pictureInput } from '../graph/picture-input.js';
import { disposeLayers, frozenLayers, loadLayers } from './run-layers.js';
import type { AssembledLayers } from './write-layers.js';

/**
 * @param normalizes whether it has batch normalizations that no convolution took in
 * @param inputs of the model as it was read, which the converted one has too
 * @param assemble gives the model with filters in place
 */
export function layersRecorder(
  normalizes: boolean,
  inputs: readonly ModelInput[],
  assemble: (filters: ReadonlyMap<string, DSConvFilter>) => AssembledLayers,
  options: ExampleOptions,
): Recordable {
  const picture = (): PictureInput => pictureInput(inputs, options);
  return {
    normalizes,
    picture,
    async record(filters, batch) {
      const model = await loadLayers(assemble(filters));
      let examples: NamedTensorMap = {};
      try {
        if (batch === null) examples = exampleInputs(inputs, options);
        else {
          const { name, shape, planar, dtype } = picture();
          const [height, width, channels] = shape;
          const sizes = planar ? [channels, height, width] : [height, width, channels];
          examples = { [name]: zeros([batch, ...sizes], dtype) };
        }
        return recordModel(model, Object.values(examples), filters);
      } finally {
        dispose(examples);
        disposeLayers(model);
      }
    },
  };
}

function recordModel(
  model: LayersModel,
  examples: Tensor[],
  filters: ReadonlyMap<string, DSConvFilter>,
): NetworkStructure {
  const trace = capture(
    (...inputs: Tensor[]) => model.apply(inputs.length === 1 ? inputs[0]! : inputs) as Tensor | Tensor[],
    ...examples,
  );
  const names = new Map<DSConvFilter, string>();
  for (const layer of frozenLayers(model)) {
    const filter = layer.filter();
    if (filter && filters.has(layer.name)) names.set(filter, layer.name);
  }
  outliveModel(trace, names);
  return describeTrace(trace, (filter) => names.get(filter));
}

/** Layers that were frozen before are run with the trace when their model is no more: they get filters of their own, of the same bytes. */
function outliveModel(trace: Trace, names: ReadonlyMap<DSConvFilter, string>): void {
  for (const { attributes } of trace.nodes) {
    const { filter } = attributes;
    if (!(filter instanceof DSConvFilter) || names.has(filter)) continue;
    const { kind, shape, bits, blockSize, vqk } = filter;
    const [kds, kdsBias, cds, cdsBias] = (['kds', 'kdsBias', 'cds', 'cdsBias'] as const).map((name) =>
      filter.stored(name),
    );
    const parts = { kind, shape, bits, blockSize, vqk, kds, kdsBias, cds, cdsBias };
    (attributes as { filter: DSConvFilter }).filter = new DSConvFilter(parts);
  }
}

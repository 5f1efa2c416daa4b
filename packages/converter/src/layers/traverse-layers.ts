/** Ways through the layers of a model. */
import type { ModelInput } from '../graph/example-inputs.js';
import { LayerError } from './layer-error.js';
import type { Container, Layer } from './topology.js';

/** Layers in an order in which those come first that others read, by their first calls. @throws LayerError on a circle */
export function sortLayers({ layers }: Container, file: string): Layer[] {
  const byName = new Map(layers.map((layer) => [layer.name, layer]));
  const state = new Map<Layer, 'open' | 'done'>();
  const order: Layer[] = [];
  for (const start of layers) {
    const stack: { layer: Layer; next: number; inputs: Layer[] }[] = [];
    const enter = (layer: Layer): void => {
      if (state.get(layer) === 'done') return;
      if (state.get(layer) === 'open') {
        throw new LayerError(file, layer, 'waits for itself in a circle of layers; expected none');
      }
      state.set(layer, 'open');
      // Later calls of a shared layer may read what came after its first.
      const inputs = (layer.calls[0] ?? []).map((reference) => byName.get(reference.layer)!);
      stack.push({ layer, next: 0, inputs });
    };
    enter(start);
    while (stack.length > 0) {
      const top = stack.at(-1)!;
      const input = top.inputs[top.next++];
      if (input) enter(input);
      else {
        state.set(top.layer, 'done');
        order.push(top.layer);
        stack.pop();
      }
    }
  }
  return order;
}

/** The inputs that a model states: those of its input layers, or of a Sequential's first layer. */
export function statedInputs({ layers, kind }: Container): ModelInput[] {
  const sources = kind === 'sequential' ? layers.slice(0, 1) : layers;
  return sources.flatMap(({ name, config }) => {
    const shape = config.batch_input_shape ?? config.batchInputShape;
    if (!Array.isArray(shape)) return [];
    const sizes = shape.map((d) => (Number.isSafeInteger(d) && (d as number) > 0 ? (d as number) : null));
    return [{ name, shape: sizes, dtype: config.dtype === 'int32' ? 'int32' : 'float32' }];
  });
}

/** The container and all that are nested in it, the outer ones first. */
export function allContainers(container: Container): Container[] {
  const inner = container.layers.flatMap(({ nested }) => (nested ? allContainers(nested) : []));
  return [container, ...inner];
}

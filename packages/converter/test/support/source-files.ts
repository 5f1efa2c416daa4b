/** Float networks as other frameworks save them, made from an architecture and random numbers. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Architecture, outChannels, type SafeTensor } from '@dsconv/models';

/** Numbers that differ from tensor to tensor; variances must be positive. */
function values(name: string, count: number): Float32Array {
  let seed = 0;
  for (const character of name) seed = (seed * 31 + character.charCodeAt(0)) % 9973;
  const positive = name.endsWith('var') || name.endsWith('variance');
  return Float32Array.from({ length: count }, (_, n) => {
    const value = Math.sin(seed + n * 0.7);
    return positive ? 0.5 + value * value : value * 0.2;
  });
}

/** Every source tensor of an architecture in the layout of its framework. */
export function sourceTensors(architecture: Architecture): Map<string, SafeTensor> {
  const tensors = new Map<string, SafeTensor>();
  const add = (name: string, shape: number[]): void => {
    const count = shape.reduce((product, d) => product * d, 1);
    tensors.set(name, { dtype: 'F32', shape, data: values(name, count) });
  };
  for (const layer of architecture.layers) {
    const [kh, kw, inner, outer] = layer.shape;
    const { bias, norm } = layer.source;
    const torch = {
      dense: [outer, inner * kh * kw],
      depthwise: [inner * outer, 1, kh, kw],
      conv2d: [outer, inner, kh, kw],
      norm: [outer],
    }[layer.kind];
    add(layer.source.weight, architecture.framework === 'pytorch' ? torch : [...layer.shape]);
    if (bias) add(bias, [outChannels(layer)]);
    if (norm)
      for (const key of ['gamma', 'beta', 'mean', 'variance'] as const) add(norm[key], [outChannels(layer)]);
  }
  return tensors;
}

/** What Keras writes into model.json about a MobileNet, as far as the reader looks at it. */
export function mobileNetModel(architecture: Architecture, padding: 'same' | 'zero-padding' = 'same') {
  const layers: {
    class_name: string;
    name: string;
    config: Record<string, unknown>;
    inbound_nodes: unknown[];
  }[] = [];
  const push = (class_name: string, name: string, config: object): void => {
    const before = layers.at(-1)?.name;
    const inbound_nodes = before === undefined ? [] : [[[before, 0, 0, {}]]];
    layers.push({ class_name, name, config: { name, ...config }, inbound_nodes });
  };
  const { inputSize, channels } = architecture;
  push('InputLayer', 'input_1', { batch_input_shape: [null, inputSize, inputSize, channels] });
  for (const layer of architecture.layers) {
    const padded = padding === 'zero-padding' && layer.strides === 2;
    if (padded)
      push('ZeroPadding2D', `${layer.name}_pad`, {
        padding: [
          [0, 1],
          [0, 1],
        ],
      });
    push(layer.kind === 'depthwise' ? 'DepthwiseConv2D' : 'Conv2D', layer.name, {
      strides: [layer.strides, layer.strides],
      kernel_size: [layer.shape[0], layer.shape[1]],
      dilation_rate: [1, 1],
      padding: padded ? 'valid' : 'same',
      activation: 'linear',
      use_bias: layer.source.bias !== null,
    });
    if (layer.source.norm) {
      push('BatchNormalization', layer.source.norm.gamma.split('/')[0]!, { epsilon: 0.002 });
      push('Activation', `${layer.name}_relu`, { activation: 'relu6' });
    }
  }
  const tensors = sourceTensors(architecture);
  const names = [...tensors.keys()];
  const weight = (name: string) => ({ name, shape: [...tensors.get(name)!.shape], dtype: 'float32' });
  return {
    modelTopology: {
      keras_version: '2.1.6',
      model_config: { class_name: 'Model', config: { layers } },
    } as Record<string, unknown>,
    // Two groups, the first over two shards whose border runs through a weight.
    weightsManifest: [
      { paths: ['group1-shard1of2', 'group1-shard2of2'], weights: names.slice(0, 40).map(weight) },
      { paths: ['group2-shard1of1'], weights: names.slice(40).map(weight) },
    ],
  };
}

export type LayersModelJson = ReturnType<typeof mobileNetModel>;

/** Writes model.json and shards. */
export function writeLayersModel(folder: string, architecture: Architecture, model: LayersModelJson): string {
  mkdirSync(folder, { recursive: true });
  const tensors = sourceTensors(architecture);
  const names = [...tensors.keys()];
  const join1 = (part: string[]): Buffer =>
    Buffer.concat(part.map((name) => Buffer.from(tensors.get(name)!.data.buffer)));
  const first = join1(names.slice(0, 40));
  writeFileSync(join(folder, 'group1-shard1of2'), first.subarray(0, 1001));
  writeFileSync(join(folder, 'group1-shard2of2'), first.subarray(1001));
  writeFileSync(join(folder, 'group2-shard1of1'), join1(names.slice(40)));
  writeFileSync(join(folder, 'model.json'), JSON.stringify(model));
  return folder;
}

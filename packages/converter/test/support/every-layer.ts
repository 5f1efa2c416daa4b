import {
  model as createModel,
  input,
  type LayersModel,
  layers,
  type SymbolicTensor,
} from '@tensorflow/tfjs-layers';
import { fillWeights } from './layers-files.js';

/** Every layer that is folded, with a shortcut, on 9 × 9 pixels of 3 channels. */
export function everyLayer(outer: 'elu' | 'sigmoid' = 'elu'): LayersModel {
  const x = input({ shape: [9, 9, 3], name: 'x' });
  const apply = (layer: layers.Layer, to: SymbolicTensor | SymbolicTensor[]): SymbolicTensor =>
    layer.apply(to) as SymbolicTensor;
  let y = apply(
    layers.zeroPadding2d({
      padding: [
        [0, 1],
        [0, 1],
      ],
      name: 'pad',
    }),
    x,
  );
  y = apply(layers.conv2d({ filters: 16, kernelSize: 3, strides: 2, useBias: false, name: 'stem' }), y);
  y = apply(layers.batchNormalization({ name: 'stem_bn' }), y);
  const stem = apply(layers.activation({ activation: 'relu6', name: 'stem_relu6' }), y);
  y = apply(layers.depthwiseConv2d({ kernelSize: 3, padding: 'same', name: 'dw' }), stem);
  y = apply(layers.batchNormalization({ scale: false, center: false, name: 'dw_bn' }), y);
  y = apply(layers.reLU({ maxValue: 6, name: 'dw_relu' }), y);
  y = apply(
    layers.separableConv2d({ filters: 16, kernelSize: 3, padding: 'same', activation: 'relu', name: 'sep' }),
    y,
  );
  const sum = apply(layers.add({ name: 'sum' }), [stem, y]);
  y = apply(
    layers.conv2d({ filters: 40, kernelSize: [1, 3], dilationRate: 2, padding: 'same', name: 'wide' }),
    sum,
  );
  y = apply(layers.leakyReLU({ alpha: 0.1, name: 'leaky' }), y);
  y = apply(layers.conv2d({ filters: 24, kernelSize: 1, activation: outer, name: 'outer' }), y);
  y = apply(layers.dropout({ rate: 0.5, name: 'drop' }), y);
  y = apply(layers.conv2d({ filters: 24, kernelSize: 2, name: 'pre' }), y);
  y = apply(layers.prelu({ sharedAxes: [1, 2], name: 'prelu' }), y);
  y = apply(layers.globalAveragePooling2d({ name: 'pool' } as never), y);
  y = apply(layers.dense({ units: 20, name: 'hidden' }), y);
  y = apply(layers.batchNormalization({ name: 'hidden_bn' }), y);
  y = apply(layers.activation({ activation: 'swish', name: 'hidden_swish' }), y);
  y = apply(layers.dense({ units: 10, activation: 'softmax', name: 'classes' }), y);
  return fillWeights(createModel({ inputs: x, outputs: y }));
}

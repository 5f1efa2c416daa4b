/** tfjs-backend-webgpu with the float32 network, as TensorFlow.js sets it up. */
import { readNetwork } from '@dsconv/models';
import { dispose, fused, setBackend, slice, tensor1d, tensor4d } from '@tensorflow/tfjs-core';
import { CHANNELS, randomPictures, SIZE } from '../../cpu/input.mjs';
import { layerNumbers, paddings } from '../layer-input.mjs';

/** @param {import('../../cpu/commands.mjs').Task} task @param {import('../commands.mjs').Host} host */
export async function tfjs(task, host) {
  await useWebGPU();
  return runEagerly(task, host);
}

/** Makes `webgpu` the current backend of TensorFlow.js. @throws Error when it cannot be created */
export async function useWebGPU() {
  await import('@tensorflow/tfjs-backend-webgpu');
  if (!(await setBackend('webgpu'))) throw new Error("TensorFlow.js could not create its backend 'webgpu'");
}

/** Picture in, logits out, on the current backend: like the other engines each run begins and ends in the memory of the CPU. */
export async function runEagerly({ file, batch }, { read }) {
  const network = readNetwork(await read(file), file);
  const pictures = randomPictures(batch);
  return {
    run: async () => {
      const x = tensor4d(pictures, [batch, SIZE, SIZE, CHANNELS]);
      const logits = network.logits(x);
      const values = await logits.data();
      x.dispose();
      logits.dispose();
      return values;
    },
    dispose: async () => network.dispose(),
  };
}

/** One float32 convolution with bias and ReLU. @param {import('../layer-input.mjs').Layer} layer */
export async function tfjsLayer(layer) {
  await useWebGPU();
  const { geometry: g, depthwise, filter } = layer;
  const { x, weights, bias } = layerNumbers(layer);
  const options = {
    x: tensor4d(x, [1, g.inHeight, g.inWidth, g.inChannels]),
    filter: tensor4d(weights, filter),
    bias: tensor1d(bias),
    strides: g.strideHeight,
    pad: paddings(g),
    activation: 'relu',
  };
  const compute = depthwise ? fused.depthwiseConv2d : fused.conv2d;
  return repeated(
    () => compute(options),
    () => dispose([options.x, options.filter, options.bias]),
  );
}

/**
 * A call of an operator on the current backend, many times. Reading one number of the last result waits for all of them, because a device does
 * what it is given in order.
 *
 * @param {() => import('@tensorflow/tfjs-core').Tensor4D} call
 */
export function repeated(call, release) {
  return {
    run: async (count) => {
      for (let n = 1; n < count; n++) call().dispose();
      const last = call();
      const first = slice(last, [0, 0, 0, 0], [1, 1, 1, 1]);
      await first.data();
      dispose([last, first]);
    },
    dispose: async () => release(),
  };
}

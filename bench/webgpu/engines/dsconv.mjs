/** Our own backend, by plan and eagerly. */
import '@dsconv/backend-webgpu';
import {
  compile,
  dsconv2d,
  dsDepthwiseConv2d,
  quantizeDepthwiseFilter,
  quantizeFilter,
  selectBackend,
} from '@dsconv/core';
import { readNetwork } from '@dsconv/models';
import { dispose, tensor1d, tensor4d } from '@tensorflow/tfjs-core';
import { CHANNELS, randomPictures, SIZE } from '../../cpu/input.mjs';
import { layerNumbers, paddings } from '../layer-input.mjs';
import { repeated, runEagerly } from './tfjs.mjs';

/** @param {import('../../cpu/commands.mjs').Task} task @param {import('../commands.mjs').Host} host */
export async function eager(task, host) {
  await selectBackend(['webgpu']);
  return runEagerly(task, host);
}

/** @param {import('../../cpu/commands.mjs').Task} task @param {import('../commands.mjs').Host} host */
export async function plan({ file, batch }, { read }) {
  await selectBackend(['webgpu']);
  const network = readNetwork(await read(file), file);
  const pictures = randomPictures(batch);
  const example = tensor4d(pictures, [batch, SIZE, SIZE, CHANNELS]);
  const made = await compile((input) => network.logits(input), example);
  example.dispose();
  if (made.mode !== 'compiled') throw new Error(`the network does not compile: ${made.reason}`);
  const outputs = made.outputShapes.map((shape) => new Float32Array(shape.reduce((a, b) => a * b, 1)));
  const { compiled } = made;
  return {
    note: `arena ${mebibytes(compiled.arenaBytes)}, alive at once ${mebibytes(compiled.liveBytes)}`,
    run: async () => {
      await compiled.run([pictures], outputs);
      return outputs[0];
    },
    dispose: async () => {
      made.dispose();
      network.dispose();
    },
  };
}

const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** One convolution with bias and ReLU, activations rounded to 8 bits on the way in. @param {import('../layer-input.mjs').Layer} layer */
export async function dsconvLayer(layer) {
  await selectBackend(['webgpu']);
  const { geometry: g, depthwise, filter: shape, bits, blockSize } = layer;
  const numbers = layerNumbers(layer);
  const x = tensor4d(numbers.x, [1, g.inHeight, g.inWidth, g.inChannels]);
  const options = { bias: tensor1d(numbers.bias), activation: 'relu' };
  const quantize = depthwise ? quantizeDepthwiseFilter : quantizeFilter;
  const filter = quantize(numbers.weights, shape, { bits, blockSize, method: 'absmax' });
  const compute = depthwise ? dsDepthwiseConv2d : dsconv2d;
  const pad = paddings(g).slice(1, 3);
  return repeated(
    () => compute(x, filter, g.strideHeight, pad, options),
    () => {
      dispose([x, options.bias]);
      filter.dispose();
    },
  );
}

/** TensorFlow.js' own backends with the float32 network. */
import { setBackend, tensor4d } from '@tensorflow/tfjs-core';
import { CHANNELS, randomPictures, SIZE } from '../input.mjs';
import { readNetworkFrom } from '../networks.mjs';
import { useTfjsWasm } from './tfjs-backend.mjs';

export { useTfjsWasm };

/** @param {import('../commands.mjs').Task} task */
export async function tfjsWasm(task) {
  await useTfjsWasm(task.threads);
  return prepareEager(task);
}

/** @param {import('../commands.mjs').Task} task */
export async function tfjsCpu(task) {
  await import('@tensorflow/tfjs-backend-cpu');
  await setBackend('cpu');
  return prepareEager(task);
}

async function prepareEager({ file, batch }) {
  const network = await readNetworkFrom(file);
  const x = tensor4d(randomPictures(batch), [batch, SIZE, SIZE, CHANNELS]);
  return {
    run: async () => {
      const logits = network.logits(x);
      const values = await logits.data();
      logits.dispose();
      return values;
    },
    async dispose() {
      x.dispose();
      network.dispose();
    },
  };
}

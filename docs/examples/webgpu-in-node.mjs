/** Classifies a random picture on the GPU, in Node: `node docs/examples/webgpu-in-node.mjs`, after `npm i webgpu`. */
import { create, globals } from 'webgpu';

Object.assign(globalThis, globals);
// Node 20 has no navigator; later ones have one without gpu.
const navigator = { gpu: create([]), userAgent: 'Node.js' };
Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true, writable: true });

// Only now: TensorFlow.js looks for WebGPU when its backend is imported.
await import('@tensorflow/tfjs-backend-webgpu');
await import('@dsconv/backend-webgpu');
const { selectBackend } = await import('@dsconv/core');
const { loadModel } = await import('@dsconv/models');
const tf = await import('@tensorflow/tfjs-core');

const { name, tier } = await selectBackend(['webgpu']);
const network = await loadModel('resnet20.fashion_mnist');
const picture = tf.randomUniform([1, 28, 28, 1], -1, 1, 'float32', 1);
const probabilities = network.predict(picture);
// Not dataSync: the GPU's memory can only be read by a Promise.
const values = await probabilities.data();
console.log(`${name}, ${tier}: class ${values.indexOf(Math.max(...values))} of ${values.length}`);
// Dawn keeps the process alive.
process.exit();

/** What is compared on the GPU: names as in the results, and what each engine reads. */
import { BITS } from '../cpu/networks.mjs';

/**
 * @typedef {object} EngineDescription
 * @property {string} module file and name of the function that prepares it, see load.mjs
 * @property {string} prepare
 * @property {number} bits of the weights
 * @property {'float' | 'quantized' | 'onnx' | 'onnx16'} file which file of the network it reads
 * @property {string} [layer] name of the function that prepares a single convolution
 * @property {string[]} [nodeFlags] of its process where it runs in Node
 */

/**
 * onnxruntime's WebAssembly has one huge function, which V8 of Node optimizes on all of its threads for half a minute, and Dawn waits for one
 * of them. It only dispatches: what it costs when it is not optimized is far below a millisecond.
 */
const ORT_FLAGS = ['--wasm-tiering-budget=1000000000'];

/** @type {Record<string, EngineDescription>} */
export const ENGINES = {
  'dsconv-webgpu-plan': { module: 'dsconv', prepare: 'plan', bits: BITS, file: 'quantized' },
  'dsconv-webgpu-eager': {
    module: 'dsconv',
    prepare: 'eager',
    layer: 'dsconvLayer',
    bits: BITS,
    file: 'quantized',
  },
  'tfjs-webgpu': { module: 'tfjs', prepare: 'tfjs', layer: 'tfjsLayer', bits: 32, file: 'float' },
  'ort-webgpu': {
    module: 'ort',
    prepare: 'ort',
    layer: 'ortLayer',
    bits: 32,
    file: 'onnx',
    nodeFlags: ORT_FLAGS,
  },
  'ort-webgpu-float16': {
    module: 'ort',
    prepare: 'ortFloat16',
    bits: 16,
    file: 'onnx16',
    nodeFlags: ORT_FLAGS,
  },
};

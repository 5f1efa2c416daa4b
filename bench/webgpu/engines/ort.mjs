/** onnxruntime-web's WebGPU provider with an ONNX model of the very operations that the float network performs. */
import { CHANNELS, channelsFirst, randomPictures, SIZE } from '../../cpu/input.mjs';
import { floatGraph } from '../../cpu/onnx/float-graph.mjs';
import { layerNumbers } from '../layer-input.mjs';

/** @param {import('../../cpu/commands.mjs').Task} task @param {import('../commands.mjs').Host} host */
export async function ort({ file, batch }, host) {
  const { Tensor, session } = await open(await host.read(file), host);
  const values = channelsFirst(randomPictures(batch), batch);
  const [name] = session.outputNames;
  return {
    run: async () => {
      const input = new Tensor('float32', values, [batch, CHANNELS, SIZE, SIZE]);
      const results = await session.run({ input });
      return results[name].data;
    },
    dispose: () => session.release(),
  };
}

/** One float32 convolution with bias and ReLU; input and output stay on the GPU. @param {import('../layer-input.mjs').Layer} layer */
export async function ortLayer(layer, host) {
  const { geometry: g } = layer;
  const { x } = layerNumbers(layer);
  const { env, Tensor, session } = await open(layerGraph(layer), host, {
    preferredOutputLocation: 'gpu-buffer',
  });
  const device = await env.webgpu.device;
  const { STORAGE, COPY_DST, COPY_SRC } = GPUBufferUsage;
  const gpuBuffer = device.createBuffer({ size: x.byteLength, usage: STORAGE | COPY_DST | COPY_SRC });
  device.queue.writeBuffer(gpuBuffer, 0, x);
  const input = Tensor.fromGpuBuffer(gpuBuffer, {
    dataType: 'float32',
    dims: [1, g.inChannels, g.inHeight, g.inWidth],
  });
  const [name] = session.outputNames;
  return {
    run: async (count) => {
      for (let n = 0; n < count; n++) (await session.run({ input }))[name].dispose();
      await device.queue.onSubmittedWorkDone();
    },
    dispose: async () => {
      await session.release();
      gpuBuffer.destroy();
    },
  };
}

function layerGraph(layer) {
  const { geometry, depthwise, filter } = layer;
  const { weights, bias } = layerNumbers(layer);
  const [kh, kw, inner, last] = filter;
  const { outChannels, outHeight, outWidth, inChannels, inHeight, inWidth } = geometry;
  const operation = {
    ...{ kind: 'conv', inputs: [0], output: 1, activation: 'relu', bias },
    shape: [1, outChannels, outHeight, outWidth],
    geometry: { ...geometry, groups: depthwise ? inChannels : geometry.groups },
    // In any order: only the time matters.
    filter: { values: weights, shape: depthwise ? [inner * last, 1, kh, kw] : [last, inner, kh, kw] },
  };
  const inputShape = [1, inChannels, inHeight, inWidth];
  return floatGraph({ input: 0, inputShape, output: 1, operations: [operation] }, 1).model;
}

async function open(model, { ortPath }, options = {}) {
  acceptSharedMemory();
  const { env, InferenceSession, Tensor } = await import('onnxruntime-web/webgpu');
  env.logLevel = 'error';
  env.webgpu.powerPreference = 'high-performance';
  // Only the GPU computes.
  env.wasm.numThreads = 1;
  if (ortPath) env.wasm.wasmPaths = ortPath;
  const session = await InferenceSession.create(model, {
    executionProviders: ['webgpu'],
    graphOptimizationLevel: 'all',
    ...options,
  });
  return { env, Tensor, session };
}

/** @param {import('../../cpu/commands.mjs').Task} task @param {import('../commands.mjs').Host} host */
export async function ortFloat16(task, host) {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter.features.has('shader-f16'))
    throw new Error('the adapter has no float16 arithmetic (shader-f16)');
  return ort(task, host);
}

let accepted = false;

/** Dawn for Node does not take views of shared memory, which is what onnxruntime's heap is; browsers do. */
function acceptSharedMemory() {
  if (typeof process === 'undefined' || accepted) return;
  accepted = true;
  const { prototype } = GPUQueue;
  const { writeBuffer } = prototype;
  prototype.writeBuffer = function (buffer, offset, data, ...rest) {
    const shared = data.buffer instanceof SharedArrayBuffer;
    return writeBuffer.call(this, buffer, offset, shared ? data.slice() : data, ...rest);
  };
}

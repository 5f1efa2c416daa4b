/** What an engine is told to do on the GPU, in Node and in a page alike. Node must have WebGPU before an engine's module is loaded. */
import { commandsFor } from '../cpu/commands.mjs';

/** Written out, so that a bundler sees them. */
const MODULES = {
  dsconv: () => import('./engines/dsconv.mjs'),
  tfjs: () => import('./engines/tfjs.mjs'),
  ort: () => import('./engines/ort.mjs'),
};

/**
 * @typedef {object} Host where the engine runs
 * @property {(file: string) => Promise<Uint8Array>} read
 * @property {string | null} ortPath where onnxruntime-web finds its WebAssembly; null when it knows itself
 */

/** @param {Host} host */
export function webgpuCommands(host) {
  return {
    ...commandsFor(async (task) => {
      const functions = await MODULES[task.module]();
      return functions[task.prepare](task, host);
    }),
    ...layerCommands(host),
    adapter: describeAdapter,
  };
}

/** A single convolution again and again. */
function layerCommands(host) {
  let prepared = null;
  const timed = async (count) => {
    const start = performance.now();
    await prepared.run(count);
    return (performance.now() - start) / count;
  };
  return {
    /** Replaces the layer before. @returns {Promise<{ estimateMs: number }>} of one call, when everything is compiled */
    async prepareLayer({ module, prepare, layer }) {
      await prepared?.dispose();
      prepared = null;
      prepared = await (await MODULES[module]())[prepare](layer, host);
      await prepared.run(1);
      return { estimateMs: await timed(1) };
    },

    /** @returns {Promise<{ ms: number }>} of one call, on average */
    runLayer: async ({ count }) => ({ ms: await timed(count) }),
  };
}

/** The adapter that engines get here. @throws Error when there is none */
async function describeAdapter() {
  const adapter = await globalThis.navigator?.gpu?.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Error('no WebGPU adapter was found');
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
  return {
    vendor,
    architecture,
    device,
    description,
    software: Boolean(isFallbackAdapter) || architecture === 'swiftshader',
    features: [...adapter.features].filter((name) => ['shader-f16', 'subgroups'].includes(name)).sort(),
    languageFeatures: [...(navigator.gpu.wgslLanguageFeatures ?? [])].filter(
      (name) => name === 'packed_4x8_integer_dot_product',
    ),
  };
}

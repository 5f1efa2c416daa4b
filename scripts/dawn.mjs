/**
 * WebGPU in Node: Dawn of the npm package `webgpu`, as `navigator.gpu`, on SwiftShader where the machine has no GPU to use.
 *
 * SwiftShader is a Vulkan driver that computes on the CPU. Chromium brings it along, in Debian's package as
 * /usr/lib/chromium/vk_swiftshader_icd.json, often with a Vulkan loader beside it. Mesa's lavapipe, the other one, is refused by Dawn.
 */
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { constants, homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { SOFTWARE_DAWN_OPTION } from './chromium-flags.mjs';
import { CHROMIUM_CANDIDATES } from './ensure-chromium.mjs';

const MANIFEST = 'vk_swiftshader_icd.json';
const LOADER = 'libvulkan.so.1';
/** Where the Vulkan loader finds the drivers of a system. */
const DRIVER_FOLDERS = ['/etc', '/usr/share', '/usr/local/share', join(homedir(), '.local/share')].map(
  (folder) => join(folder, 'vulkan/icd.d'),
);
/** glibc's flag of dlopen that keeps a library in the process when its handle is closed; Node has no name for it. */
const RTLD_NODELETE = 0x1000;

/**
 * Makes `navigator.gpu` and the GPU* globals those of Dawn. Call it before TensorFlow.js' WebGPU backend is imported, in the main thread of a
 * process: other threads do not see its changes of the environment. Where VK_ICD_FILENAMES or VK_DRIVER_FILES name a driver, it is that one.
 *
 * @param {'software' | 'hardware' | 'any'} [adapter] 'software' takes SwiftShader, 'any' a GPU where there is one and SwiftShader else
 * @returns {Promise<string | null>} why there is no adapter, or null when there is one
 */
export async function provideDawn(adapter = process.env.DSCONV_WEBGPU_ADAPTER ?? 'software') {
  let dawn;
  try {
    dawn = await import('webgpu');
  } catch (error) {
    return `Dawn of the npm package webgpu cannot be loaded: ${error.message.split('\n')[0]}`;
  }
  if (adapter !== 'software') {
    const gpu = await hardware(dawn);
    if (gpu) return provide(gpu, dawn.globals);
    if (adapter === 'hardware') return 'Dawn found no GPU';
  }
  const reason = chooseSwiftShader();
  if (reason) return reason;
  const gpu = dawn.create([SOFTWARE_DAWN_OPTION]);
  if (!(await gpu.requestAdapter())) return 'Dawn found no adapter, although there is a Vulkan driver';
  return provide(gpu, dawn.globals);
}

/** Dawn on a GPU, or null. Asked in vain it writes warnings, so it is only asked where there is a driver. */
async function hardware(dawn) {
  if (process.platform === 'linux' && !process.env.VK_ICD_FILENAMES && !process.env.VK_DRIVER_FILES) {
    if (!DRIVER_FOLDERS.some((folder) => existsSync(folder) && readdirSync(folder).length > 0)) return null;
    keepLoader(swiftShaderFolder());
  }
  const gpu = dawn.create([]);
  const found = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  return found && !found.info.isFallbackAdapter ? gpu : null;
}

function provide(gpu, globals) {
  Object.assign(globalThis, globals);
  // Node 20 has no navigator, newer ones have one without gpu.
  const navigator = { gpu, userAgent: `Node.js/${process.versions.node.split('.')[0]}` };
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true, writable: true });
  return null;
}

/** Points the Vulkan loader of this process at SwiftShader. @returns {string | null} why it cannot */
export function chooseSwiftShader() {
  if (process.platform !== 'linux' || process.env.VK_ICD_FILENAMES || process.env.VK_DRIVER_FILES)
    return null;
  const folder = swiftShaderFolder();
  if (folder === null) {
    return `no ${MANIFEST} is beside an installed Chromium; set VK_ICD_FILENAMES to the path of one`;
  }
  process.env.VK_ICD_FILENAMES = join(folder, MANIFEST);
  keepLoader(folder);
  return null;
}

/** Dawn asks for the loader by name. One that is in the process already is found by it, wherever it came from. */
function keepLoader(folder) {
  if (!keepLibrary(LOADER) && folder && existsSync(join(folder, LOADER))) keepLibrary(join(folder, LOADER));
}

function swiftShaderFolder() {
  const chromiums = [process.env.DSCONV_CHROMIUM, ...CHROMIUM_CANDIDATES].filter(
    (path) => path && existsSync(path),
  );
  const folders = ['/usr/lib/chromium', ...chromiums.map((path) => dirname(realpathSync(path)))];
  return folders.find((folder) => existsSync(join(folder, MANIFEST))) ?? null;
}

/** @returns {boolean} whether it is in this process now */
function keepLibrary(path) {
  try {
    process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
    return true;
  } catch (error) {
    // What Node says when it has loaded a library that is no addon.
    return /self-register/.test(error.message);
  }
}

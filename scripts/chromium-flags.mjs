/** How tests and benchmarks start Chromium. */

/** As root, and without anything that goes to the network by itself. */
export const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * An option of Dawn, in Node and in Chromium: without it SwiftShader compiles shaders that use workgroup memory a thousand times slower.
 */
export const SOFTWARE_DAWN_OPTION =
  'disable-dawn-features=use_vulkan_zero_initialize_workgroup_memory_extension';

/** WebGPU on SwiftShader, which Chromium has with it, where no GPU is. */
export const SOFTWARE_WEBGPU_FLAGS = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  `--${SOFTWARE_DAWN_OPTION}`,
];

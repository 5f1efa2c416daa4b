/** What there is to know about WebGPU here before a backend is made. */
import { BackendUnavailableError } from '@dsconv/core';
import { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import { DOT_FEATURE, type GpuTier } from './gpu/variants.js';

/** Order in which tiers are tried. On adapters that run on the CPU workgroup memory is no faster, and barriers are slow. */
export function preferredTiers({ adapterInfo }: GPUDevice): GpuTier[] {
  const software =
    adapterInfo?.isFallbackAdapter === true || /swiftshader|llvmpipe/i.test(adapterInfo?.architecture ?? '');
  return software ? ['wide', 'tile-dot', 'tile'] : ['tile-dot', 'tile', 'wide'];
}

/** Why a tier cannot be tried here, or null. */
export function whyNotTier(tier: GpuTier): string | null {
  if (!tier.endsWith('-dot') || navigator.gpu.wgslLanguageFeatures.has(DOT_FEATURE)) return null;
  return `WGSL has no ${DOT_FEATURE} here`;
}

/** Why there is no WebGPU here, or null. */
export async function whyNoWebGPU(): Promise<string | null> {
  if (typeof navigator === 'undefined' || !navigator.gpu) return 'there is no WebGPU here (navigator.gpu)';
  return (await navigator.gpu.requestAdapter()) ? null : 'navigator.gpu.requestAdapter() found no adapter';
}

/** TensorFlow.js's backend on a new device, with all that the adapter allows. */
export async function makeBackend(): Promise<WebGPUBackend> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new BackendUnavailableError((await whyNoWebGPU()) ?? 'there is no GPU adapter');
  const { limits } = adapter;
  const device = await adapter.requestDevice({
    requiredFeatures: adapter.features.has('timestamp-query') ? ['timestamp-query'] : [],
    requiredLimits: {
      maxBufferSize: limits.maxBufferSize,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
      maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
    },
  });
  return new WebGPUBackend(device, adapter.info);
}

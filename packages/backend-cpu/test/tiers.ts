import { BACKEND_NAME, TIERS } from '@dsconv/backend-cpu';
import { getDSConvBackend } from '@dsconv/core';

/** One TensorFlow.js backend name per tier, all in this process. */
export const TIER_BACKENDS = TIERS.map((tier) => getDSConvBackend(BACKEND_NAME)!.pinTier!(tier));

/** The tiers that keep tensors in the WebAssembly heap. */
export const WASM_BACKENDS = TIER_BACKENDS.filter((name) => name.includes('wasm'));

/** The tiers that compile plans. */
export const PLANNING_BACKENDS = TIER_BACKENDS.filter((name) => !name.endsWith('/js'));

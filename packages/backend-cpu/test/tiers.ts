import { BACKEND_NAME, TIERS } from '@dsconv/backend-cpu';
import { getDSConvBackend } from '@dsconv/core';

const backend = getDSConvBackend(BACKEND_NAME)!;

/** One TensorFlow.js backend name per tier, all in this process. */
export const TIER_BACKENDS = TIERS.map((tier) => backend.pinTier!(tier));

const available = new Map(
  (await backend.tiers()).map(({ tier, available }) => [`${BACKEND_NAME}/${tier}`, available]),
);

/**
 * The tiers with kernels of their own that can run here. One that cannot is skipped, or fails where DSCONV_REQUIRE lists it, in the conformance
 * suite, which has all of them.
 */
export const ENGINE_BACKENDS = TIER_BACKENDS.filter((name) => !name.endsWith('/js') && available.get(name));

/** The tiers that keep tensors in the WebAssembly heap. */
export const WASM_BACKENDS = ENGINE_BACKENDS.filter((name) => name.includes('wasm'));

/** Runs before each test file in Node: a browser has its own navigator.gpu, Node gets Dawn's. */
import { provideDawn } from '../../../../scripts/dawn.mjs';

const reason = await provideDawn();
if (reason) globalThis[Symbol.for('dsconv.test.no-webgpu')] = reason;

/** The kernels that are neither convolutions nor products: one array of all of them. */
import type { CudaKernel } from '../backend.js';
import { argKernels } from './arg.js';
import { binaryKernels } from './binary.js';
import { castKernels } from './cast.js';
import { concatKernels } from './concat.js';
import { cumsumKernels } from './cumsum.js';
import { fillKernels } from './fill.js';
import { gatherKernels } from './gather.js';
import { oneHotKernels } from './one-hot.js';
import { padKernels } from './pad.js';
import { reduceKernels } from './reduce.js';
import { reshapeKernels } from './reshape.js';
import { resizeKernels } from './resize.js';
import { selectKernels } from './select.js';
import { sliceKernels } from './slice.js';
import { softmaxKernels } from './softmax.js';
import { tileKernels } from './tile.js';
import { topKKernels } from './top-k.js';
import { transposeKernels } from './transpose.js';
import { unaryKernels } from './unary.js';

export const tensorKernels: readonly CudaKernel[] = [
  ...unaryKernels,
  ...castKernels,
  ...binaryKernels,
  ...selectKernels,
  ...fillKernels,
  ...reduceKernels,
  ...argKernels,
  ...softmaxKernels,
  ...cumsumKernels,
  ...topKKernels,
  ...reshapeKernels,
  ...concatKernels,
  ...padKernels,
  ...sliceKernels,
  ...transposeKernels,
  ...tileKernels,
  ...gatherKernels,
  ...oneHotKernels,
  ...resizeKernels,
];

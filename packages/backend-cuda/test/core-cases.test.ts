/** TensorFlow.js's own cases for the kernels of src/kernels/tensor-kernels.ts, gradients included. */
import '@tensorflow/tfjs';
import { requireOrSkip } from '@dsconv/conformance/vitest';
import { getDSConvBackend, selectBackend } from '@dsconv/core';
import { beforeEach } from 'vitest';
import { BACKEND_NAME } from '../src/index.js';
import { declareCoreCases } from './support/core-cases.js';

/** In tfjs-core's folder ops. Slices come first: their cases count all tensors, and one of mean's, which throws in a gradient, leaves one behind. */
const OPERATIONS = [
  'slice abs add_n add all any arg_max arg_min arithmetic batch_to_space_nd binary_ops broadcast_to ceil',
  'clip_by_value clone concat cos cumsum elu equal erf exp expand_dims expm1 fill floor floordiv',
  'gather greater_equal greater is_finite is_inf is_nan leaky_relu less_equal less log1p',
  'log_softmax log_sum_exp log logical_and logical_not logical_or logical_xor max mean min',
  'mirror_pad neg not_equal one_hot ones_like ones pad prod reciprocal relu6 relu reverse_1d',
  'reverse_2d reverse_3d reverse_4d reverse round rsqrt selu sigmoid sign sin slice1d slice2d',
  'slice3d slice4d softmax softplus space_to_batch_nd split sqrt square squeeze stack step',
  'strided_slice sub sum tan tanh tile topk transpose unstack where zeros_like zeros',
  'image/resize_bilinear image/resize_nearest_neighbor',
].flatMap((line) => line.split(' '));

/** Cases that are not for this backend, and why. */
const NOT_OURS: Record<string, string> = {
  'gather: throws when index is out of bound':
    'the GPU does not tell; the result has zeros there, as with other GPU backends',
  'tan: numbers exceed float32 precision':
    'a result above 30000 is compared to 0.001, less than the unit in its last place',
};

let missing: string | null = null;

/** The probe answers once; every group makes the backend current. */
async function prepare(): Promise<void> {
  const support = await getDSConvBackend(BACKEND_NAME)!.probe();
  missing = support === true ? null : support.reason;
  if (missing === null) await selectBackend([BACKEND_NAME]);
}

beforeEach((context) => {
  if (missing !== null) requireOrSkip(context, BACKEND_NAME, missing);
});

await declareCoreCases(
  OPERATIONS.map((operation) => `ops/${operation}_test`),
  { backendName: BACKEND_NAME, prepare, skipped: (name) => NOT_OURS[name] ?? null },
);

export { type BatchNormParameters, foldBatchNorm } from './batch-norm.js';
export { type BfpFormat, type BfpTensor, bfpGradient, quantizeBfp, roundToBfp } from './bfp.js';
export { BFP_ROUND, BFP_ROUND_GRADIENT, bfpRound } from './bfp-round.js';
export { packBits, packedByteLength, unpackBits } from './bit-packing.js';
export {
  ACTIVATIONS,
  type Activation,
  CONTRACT_VERSION,
  type CompiledPlan,
  type CompileOptions,
  DS_DEPTHWISE_CONV2D,
  DSCONV2D,
  type DSConvAttributes,
  type DSConvBackend,
  type DSConvInputName,
  type DSConvKernelName,
  type DSConvSpec,
  getDSConvBackend,
  INPUT_NAMES,
  kernelFor,
  listDSConvBackends,
  registerDSConvBackend,
  type Support,
  specOf,
  type TierStatus,
} from './contract.js';
export { type DSConv2dOptions, type DSConvOptions, dsconv2d, dsDepthwiseConv2d } from './dsconv2d.js';
export {
  BackendUnavailableError,
  DisposedError,
  DSConvError,
  type DSConvErrorCode,
  InvalidArgumentError,
  InvalidFilterError,
  NotFiniteError,
  SelfTestError,
  UnsupportedError,
} from './errors.js';
export { DSConvFilter, type DSConvFilterParts, type FilterKind, type ShifterName } from './filter.js';
export { combinedScales, combinedShiftBias, FilterCache } from './filter-cache.js';
export { fromFloat16Bits, roundToFloat16, toFloat16Bits } from './float16.js';
export {
  type ConvGeometry,
  type ConvGeometryOptions,
  type Padding,
  resolveGeometry,
} from './geometry.js';
export {
  BATCH_MOMENTS,
  BATCH_NORM_GRADIENT,
  BATCH_NORMALIZE,
  batchMoments,
  type Moments,
  normalizeBatch,
} from './normalize-batch.js';
export { compile, compilePlan, type Plan } from './plan.js';
export { type Arena, type Lifetime, layOutArena } from './program/arena.js';
export { chooseFormats, type FormatRules, type Formats } from './program/formats.js';
export { fuse } from './program/fuse.js';
export { lower } from './program/lower.js';
export {
  type BinaryCode,
  type BinaryStep,
  type ConvolutionStep,
  type ExtraBinaryCode,
  type ExtraUnaryCode,
  type MatMulShape,
  type Operand,
  type PadStep,
  type Program,
  readsOf,
  type Step,
} from './program/program.js';
export {
  type ConvAttributes,
  geometryFrom,
  geometryOf,
  type PoolAttributes,
  poolGeometry,
} from './program/stock-geometry.js';
export {
  PER_CHANNEL_BELOW,
  type QuantizeMethod,
  type QuantizeOptions,
  quantizeDepthwiseFilter,
  quantizeFilter,
} from './quantize.js';
export {
  activate,
  type ReferenceInputs,
  type ReferenceOptions,
  type ReferenceResult,
  referenceDSConv2d,
} from './reference.js';
export { roundHalfEven } from './rounding.js';
export {
  roundToFloat16IfClose,
  type ScaleFormat,
  type StoredScales,
  storeExactly,
  widenScales,
} from './scales.js';
export { type BackendSelection, selectBackend } from './select-backend.js';
export { runSelfTest } from './self-test.js';
export {
  type ConstantValues,
  capture,
  captureAsync,
  type TensorFunction,
  type Trace,
  TraceError,
  type TraceNode,
  type TraceTensor,
  type ValueId,
} from './trace.js';

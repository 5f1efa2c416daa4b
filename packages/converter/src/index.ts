export type { AllocationReport, CurvePoint, LayerSensitivity } from './allocation/allocation-report.js';
export type { QuantizationTarget } from './allocation/targets.js';
export { calibrateNetwork } from './calibration/calibrate-network.js';
export type {
  CalibrateOptions,
  CalibrationPictures,
  CalibrationReport,
} from './calibration/calibrate-options.js';
export type { FitParameters } from './calibration/fit-layer.js';
export { FileAccessError } from './errors.js';
export type { AccuracyOptions, AccuracyReport, ModelPictures } from './graph/accuracy.js';
export { ComparisonError, type OutputComparison } from './graph/compare.js';
export type { Conversion, ConversionReport, ConvertOptions } from './graph/convert-graph.js';
export { convertModel } from './graph/convert-model.js';
export type { LeftNode } from './graph/fold-graph.js';
export type { ModelFiles } from './graph/model-artifacts.js';
export { NodeError } from './graph/node-error.js';
export type { ConvolutionReport } from './graph/quantize-convolution.js';
export type { Verification } from './graph/verify-graph.js';
export { writeModelFiles } from './graph/write-model.js';
export {
  DownloadError,
  type DownloadProblem,
  isCached,
  type LoadEvent,
  type LoadOptions,
  type LoadQuantization,
  load,
  loadFloat,
  OfflineError,
  type OnProgress,
} from './hub/index.js';
export * from './in-memory.js';
export { type Similarity, SimilaritySums } from './inspection/similarity.js';
export { LayerError } from './layers/layer-error.js';
export { layersModelFiles } from './layers/layers-model-files.js';
export type { PictureLayout, PictureLayouts } from './onnx/signature.js';
export { readFloatNetwork, readNetworkFile } from './read-float-network.js';
export { checkOutputPath, writeFileAtomic } from './write-file.js';
export { writeNetworkFile } from './write-network-file.js';

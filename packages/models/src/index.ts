export type {
  Architecture,
  ArchitectureConfig,
  LayerConvolution,
  LayerInput,
  LayerKind,
  LayerParameters,
  LayerRole,
  LayerSource,
  LayerSpec,
  LayerUse,
  NetActivation,
  NetworkParameters,
  NormSource,
  ParameterCount,
  Pooling,
} from './architecture.js';
export { countParameters, outChannels, weightCount } from './architecture.js';
export type { Classification, ClassifyOptions } from './classify-pictures.js';
export { type ConvolutionShape, convolutionShapes, type PictureSize } from './convolution-shapes.js';
export { type ConvolveOptions, convolve } from './convolve.js';
export { FileFormatError, ModelNotShippedError, UnknownModelError } from './errors.js';
export { isNetworkFile, networkOf, readNetwork } from './format/network-reader.js';
export { networkFileLength, writeNetwork } from './format/network-writer.js';
export type { Dtype, SafeTensor, SafeTensors, TensorData } from './format/safetensors.js';
export { readSafetensors } from './format/safetensors-reader.js';
export { writeSafetensors } from './format/safetensors-writer.js';
export { smallestInputSize } from './input-size.js';
export { examplePictures, loadModel, shippedBits } from './load-model.js';
export { ARCHITECTURE_NAMES, createArchitecture } from './nets/create-architecture.js';
export {
  type LayerWeights,
  Network,
  type NetworkMetadata,
  type NetworkOptions,
  type OutputStatistics,
} from './network.js';
export {
  checkPreprocessing,
  type ImageDataLike,
  type Picture,
  type Preprocessing,
  preprocess,
  type RawImage,
} from './preprocessing.js';
export { randomParameters, randomQuantizedParameters } from './random-parameters.js';
export { findModel, getModel, listModels } from './registry.js';
export { nearest } from './suggest.js';
export {
  type Accuracy,
  compareGolden,
  type Golden,
  type GoldenComparison,
  goldenPicture,
} from './zoo/measurements.js';
export { type ModelCard, modelCard } from './zoo/model-card.js';
export type { ModelDownload, ModelEntry, ModelWeights } from './zoo/model-entry.js';
export { type StoredSize, storedSize } from './zoo/stored-size.js';

export { FileAccessError } from './errors.js';
export {
  DownloadError,
  type DownloadProblem,
  isCached,
  type LoadEvent,
  type LoadOptions,
  type LoadQuantization,
  load,
  OfflineError,
  type OnProgress,
} from './hub/index.js';
export { inspectNetwork, type LayerSummary, type NetworkSummary } from './inspect-network.js';
export {
  type LayerOptions,
  type LayerReport,
  type QuantizationReport,
  type QuantizeNetworkOptions,
  type QuantizeProgress,
  quantizeNetwork,
} from './quantize-network.js';
export { type ReadFloatOptions, readFloatNetwork, readNetworkFile } from './read-float-network.js';
export { signalToNoise } from './signal-to-noise.js';
export { checkOutputPath, writeFileAtomic } from './write-file.js';
export { writeNetworkFile } from './write-network-file.js';

/** What needs no disk: the entry for programs in a browser, whose bundlers cannot follow Node's modules. */
export { divergence } from './allocation/compare-logits.js';
export { inspectNetwork, type LayerSummary, type NetworkSummary } from './inspect-network.js';
export { findReference, weightsOf } from './inspection/find-reference.js';
export {
  type InspectAgainstOptions,
  inspectAgainst,
  type LayerComparison,
  type NetworkComparison,
} from './inspection/inspect-against.js';
export {
  type LayerOptions,
  type LayerReport,
  type QuantizationReport,
  type QuantizeNetworkOptions,
  type QuantizeProgress,
  quantizeNetwork,
} from './quantize-network.js';
export { type ReadFloatOptions, readFloatBytes } from './read-float-bytes.js';
export { signalToNoise } from './signal-to-noise.js';

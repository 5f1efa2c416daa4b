/** Freezing of layers that learn, for the package that has them: no Node, nothing that reads or quantizes. */
export { type FreezeOptions, freezeLayersModel } from './freeze-layers.js';
export type { TrainedConvolution, TrainedLayer } from './trained-layer.js';

/** Trained layers among those that folding works on. Their integers stay; what is folded into them goes into the scales of the channels. */
import { type FoundLayers, fusedActivation } from './read-layer.js';
import type { TrainedConvolution } from './trained-layer.js';

/** @returns the convolution, or a clause that says why the layer stays as it is */
export function readTrained(name: string, trained: TrainedConvolution): FoundLayers | string {
  const { filter, bias, strides, dilations, groups, pad, activationBits } = trained;
  const activation = fusedActivation(trained.activation);
  if (typeof activation === 'string') return activation;
  return {
    convolutions: [
      {
        kind: filter.kind,
        shape: [...filter.shape] as [number, number, number, number],
        // Never looked at: the filter has them.
        weights: new Float32Array(0),
        trained: { filter, activationBits },
        bias,
        strides,
        dilations,
        pad: typeof pad === 'number' ? { top: pad, bottom: pad, left: pad, right: pad } : pad,
        groups,
        activation: activation.fused ?? 'linear',
        leakyreluAlpha: 0.2,
        slopes: null,
        statistics: null,
        folded: [name],
        isDense: false,
      },
    ],
    outerActivation: activation.outer,
  };
}

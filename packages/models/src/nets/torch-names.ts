import type { LayerSource, NormSource } from '../architecture.js';

/** Names of a PyTorch BatchNorm2d's tensors; its default ε unless given. */
export function batchNorm(name: string, epsilon = 1e-5): NormSource {
  return {
    gamma: `${name}.weight`,
    beta: `${name}.bias`,
    mean: `${name}.running_mean`,
    variance: `${name}.running_var`,
    epsilon,
  };
}

/** Names of a PyTorch layer's tensors that has a bias and no batch normalization. */
export function plainSource(name: string): LayerSource {
  return { weight: `${name}.weight`, bias: `${name}.bias`, norm: null };
}

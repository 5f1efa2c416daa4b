import type { NormSource } from '../architecture.js';

/** Names of a PyTorch BatchNorm2d's tensors, and its default ε. */
export function batchNorm(name: string): NormSource {
  return {
    gamma: `${name}.weight`,
    beta: `${name}.bias`,
    mean: `${name}.running_mean`,
    variance: `${name}.running_var`,
    epsilon: 1e-5,
  };
}

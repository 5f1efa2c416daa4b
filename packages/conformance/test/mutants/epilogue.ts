/** What follows the sum: bias, residual, activation. */
import type { DSConvAttributes } from '@dsconv/core';
import type { DirectInputs } from './direct-conv.js';
import type { Switch } from './mutations.js';

let runs = 0;

/** One output; `at` is its position, `o` its channel. */
export function epilogue(
  sum: number,
  at: number,
  o: number,
  inputs: DirectInputs,
  attributes: DSConvAttributes,
  on: Switch,
): number {
  const outChannels = attributes.geometry.outChannels;
  const bias = on('biasMissing') ? 0 : (inputs.bias?.[o] ?? 0);
  const residual = on('residualMissing') ? 0 : (inputs.residual?.[at] ?? 0);
  let before = sum;
  if (!on('biasAfterActivation')) before += bias;
  if (!on('residualAfterActivation')) before += residual;
  let value = activate(before, o, inputs, attributes, on);
  if (on('biasAfterActivation')) value += bias;
  if (on('residualAfterActivation')) value += residual;
  if (on('raggedChannels') && o >= outChannels - (outChannels % 8)) value = o;
  if (on('onePixelOff') && at === 5) value *= 1.001;
  if (on('notDeterministic') && at === 0 && runs++ % 2 === 1) value *= 1 + 2 ** -23;
  if (on('residualReused') && inputs.residual) inputs.residual[at] = value;
  return value;
}

function activate(
  value: number,
  o: number,
  inputs: DirectInputs,
  { activation, leakyreluAlpha, geometry }: DSConvAttributes,
  on: Switch,
): number {
  switch (activation) {
    case 'linear':
      return value;
    case 'relu':
      if (on('nanLostInRelu')) return value > 0 ? value : 0;
      return value < 0 ? 0 : value;
    case 'relu6':
      if (value > 6 && !on('relu6WithoutCap')) return 6;
      return value < 0 ? 0 : value;
    case 'silu':
      if (on('siluApproximated')) return (value * Math.max(0, Math.min(6, value + 3))) / 6;
      return value / (1 + Math.exp(-value));
    case 'leakyrelu':
      return value < 0 ? value * (on('leakyAlphaFixed') ? 0.2 : leakyreluAlpha) : value;
    case 'prelu': {
      let channel = o;
      if (on('preluOfNextChannel')) channel = (o + 1) % geometry.outChannels;
      if (on('preluFirstSlope')) channel = 0;
      return value < 0 ? value * inputs.preluActivationWeights![channel]! : value;
    }
  }
}

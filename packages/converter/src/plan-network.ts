/** Bits and block size of every layer of a network of the zoo, from the options. */
import { InvalidArgumentError } from '@dsconv/core';
import type { LayerSpec, Network } from '@dsconv/models';
import { resolveLayers } from './allocation/layer-patterns.js';
import type { LayerOptions, QuantizeNetworkOptions } from './quantize-network.js';

/** `B * 2^(b-1) * (2^(m-1)-1)` must not exceed this, so that integer sums are exact in float32 (NUMERICS §4). */
const EXACT_LIMIT = 2 ** 24;

export type LayerPlan = Required<LayerOptions>;

/**
 * Bits and block size of every layer. All options are checked before the first layer is touched: the work may take minutes.
 *
 * @throws InvalidArgumentError as `quantizeNetwork`
 */
export function planNetwork(
  network: Network,
  options: QuantizeNetworkOptions,
): { layer: LayerSpec; plan: LayerPlan }[] {
  const { architecture } = network;
  if (network.isQuantized) {
    throw new InvalidArgumentError(
      `network '${architecture.name}' is already quantized; expected a float network`,
    );
  }
  const { activationBits = 8 } = options;
  checkActivationBits(activationBits);
  if (options.bits === undefined) {
    throw new InvalidArgumentError('bits is undefined; expected an integer from 2 to 8, or a target');
  }
  const names = architecture.layers.map(({ name }) => name);
  const own = resolveLayers(options.layers ?? {}, names, architecture.name);
  return architecture.layers.map((layer) => {
    return { layer, plan: planLayer(layer, own.get(layer.name) ?? {}, options, activationBits) };
  });
}

function planLayer(
  layer: LayerSpec,
  own: LayerOptions,
  options: QuantizeNetworkOptions,
  activationBits: number | null,
): LayerPlan {
  const { bits, blockSize = 64, firstBits = 8, depthwiseBits = 8 } = options;
  const isStem = layer.role === 'stem';
  const isDepthwise = layer.kind === 'depthwise';
  const plan: LayerPlan = {
    bits: own.bits ?? (isStem ? firstBits : isDepthwise ? depthwiseBits : (bits ?? Number.NaN)),
    blockSize: own.blockSize ?? blockSize,
    perChannel: isDepthwise || (own.perChannel ?? (isStem || layer.shape[2] < 16)),
  };
  if (!Number.isInteger(plan.bits) || plan.bits < 2 || plan.bits > 8) {
    const option =
      own.bits === undefined && isStem
        ? 'firstBits'
        : own.bits === undefined && isDepthwise
          ? 'depthwiseBits'
          : 'bits';
    throw new InvalidArgumentError(
      `${option} is ${plan.bits} for layer '${layer.name}'; expected an integer from 2 to 8`,
    );
  }
  if (!Number.isInteger(plan.blockSize) || plan.blockSize < 1) {
    throw new InvalidArgumentError(
      `blockSize is ${plan.blockSize} for layer '${layer.name}'; expected a positive integer`,
    );
  }
  const perUnit = activationBits === null ? 0 : 2 ** (plan.bits - 1) * (2 ** (activationBits - 1) - 1);
  if (plan.blockSize * perUnit > EXACT_LIMIT) {
    throw new InvalidArgumentError(
      `blockSize is ${plan.blockSize} for layer '${layer.name}' at ${plan.bits} weight bits and ${activationBits} activation bits; expected at most ${Math.floor(EXACT_LIMIT / perUnit)}, so that sums stay exact`,
    );
  }
  return plan;
}

function checkActivationBits(bits: number | null): void {
  if (bits === null || (Number.isInteger(bits) && bits >= 2 && bits <= 8)) return;
  throw new InvalidArgumentError(`activationBits is ${bits}; expected an integer from 2 to 8, or null`);
}

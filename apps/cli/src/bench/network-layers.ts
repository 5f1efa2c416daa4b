/** The convolution layers of networks of the zoo, equal shapes taken together. */
import { InvalidArgumentError } from '@dsconv/core';
import { type ConvolutionShape, convolutionShapes, createArchitecture } from '@dsconv/models';
import type { BenchLayer } from './layer.js';

/** Names on the command line, and the architecture each stands for. */
export const NETWORKS: Record<string, string> = {
  resnet50: 'resnet50',
  mobilenet_v1: 'mobilenet_v1_1.0',
};

/** The first and the depthwise layers keep 8 bits, as `quantize` has it by default. */
const SENSITIVE_BITS = 8;

/**
 * @param bits weight bits of the body
 * @throws InvalidArgumentError when the network is not one of {@link NETWORKS}
 */
export function networkLayers(network: string, bits: number, blockSize: number): BenchLayer[] {
  const name = NETWORKS[network];
  if (name === undefined) {
    throw new InvalidArgumentError(
      `network is '${network}'; expected one of ${Object.keys(NETWORKS).join(', ')}`,
    );
  }
  const layers = new Map<string, BenchLayer>();
  for (const shape of convolutionShapes(createArchitecture({ name }))) {
    if (shape.kind === 'dense') continue;
    const key = JSON.stringify([shape.kind, shape.geometry, shape.role === 'stem']);
    const known = layers.get(key);
    if (known) known.count++;
    else layers.set(key, benchLayer(shape, network, bits, blockSize));
  }
  return [...layers.values()];
}

function benchLayer(shape: ConvolutionShape, network: string, bits: number, blockSize: number): BenchLayer {
  const { geometry: g, kind, role, macs } = shape;
  const depthwise = kind === 'depthwise';
  const channels = depthwise ? `${g.inChannels}` : `${g.inChannels}→${g.outChannels}`;
  const stride = g.strideHeight > 1 ? `/${g.strideHeight}` : '';
  return {
    name: `${depthwise ? 'depthwise' : 'conv'} ${g.kernelHeight}x${g.kernelWidth}${stride} ${channels} at ${g.inHeight}x${g.inWidth}`,
    depthwise,
    input: [g.inHeight, g.inWidth, g.inChannels],
    filter: shape.shape,
    strides: g.strideHeight,
    pad: [
      [g.padTop, g.padBottom],
      [g.padLeft, g.padRight],
    ],
    activation: network.startsWith('mobilenet') ? 'relu6' : 'relu',
    bits: role === 'stem' || depthwise ? SENSITIVE_BITS : bits,
    blockSize,
    macs,
    count: 1,
  };
}

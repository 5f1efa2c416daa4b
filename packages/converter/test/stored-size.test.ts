/** The bytes that model cards tell are the bytes that quantizing gives. */
import { createArchitecture, getModel, Network, outChannels, storedSize, weightCount } from '@dsconv/models';
import { describe, expect, it } from 'vitest';
import { quantizeNetwork } from '../src/index.js';

describe('storedSize', () => {
  it.each([
    ['resnet20', 4, 64],
    ['resnet18', 4, 64],
    ['mobilenet_v1_0.25', 2, 64],
    ['mobilenet_v2_0.5', 8, 32],
    ['squeezenet1_1', 4, 64],
    ['densenet121', 4, 128],
  ])('%s at %i bits, blocks of %i', async (name, bits, blockSize) => {
    const architecture = createArchitecture(name);
    const weights = new Map(
      architecture.layers.map((layer) => {
        const hasBias = layer.kind === 'norm' || layer.source.bias !== null || layer.source.norm !== null;
        const filter = new Float32Array(weightCount(layer)).fill(0.5);
        return [layer.name, { filter, bias: hasBias ? new Float32Array(outChannels(layer)) : null }];
      }),
    );
    const { preprocessing } = getModel('resnet20.cifar10');
    const float = new Network({ architecture, weights, preprocessing });
    const options = { bits, blockSize, method: 'absmax', biasCorrection: false } as const;
    const { network, report } = await quantizeNetwork(float, options);
    const stored = storedSize(architecture, bits, blockSize);
    expect(stored.bytes).toBe(network.byteLength);
    expect(stored.bitsPerWeight).toBeCloseTo(report.bitsPerWeight, 10);
    expect(storedSize(architecture, 32, null).bytes).toBe(float.byteLength);
  });
});

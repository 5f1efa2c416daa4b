/** A network that has learned nothing yet. */
import { type LayerWeights, Network, outChannels, randomParameters } from '@dsconv/models';

/**
 * The network with weights to begin learning with: normal of deviation `√(2 / fan-in)` (He et al., arXiv 1502.01852), no biases, and, behind every convolution but
 * the classifier, a batch normalization that changes nothing yet, which `batchNorm: 'restored'` brings out.
 *
 * @param network whose architecture, preprocessing and labels are kept
 */
export function freshNetwork(network: Network, { seed = 1 }: { seed?: number } = {}): Network {
  const { architecture, preprocessing, labels, activationBits } = network;
  const random = randomParameters(architecture, seed);
  const classifier = architecture.layers.at(-1)!.name;
  const weights = new Map(
    architecture.layers.map((spec): [string, LayerWeights] => {
      const zeros = new Float32Array(outChannels(spec));
      const ones = zeros.map(() => 1);
      if (spec.kind === 'norm') return [spec.name, { filter: ones, bias: zeros }];
      const { filter } = random.get(spec.name)!;
      const statistics = spec.name === classifier ? null : { mean: zeros, deviation: ones };
      return [spec.name, { filter, bias: zeros, statistics }];
    }),
  );
  return new Network({ architecture, weights, preprocessing, labels, activationBits });
}

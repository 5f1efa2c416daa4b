/** Every network of the zoo on every tier of the CPU backend, and on every instruction set of its native tier, eagerly and as a plan: the same logits. */
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { compile, getDSConvBackend } from '@dsconv/core';
import { setBackend, type Tensor, type Tensor4D, tensor4d } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadNative } from '../../backend-cpu/src/native/load.js';
import {
  ARCHITECTURE_NAMES,
  createArchitecture,
  getModel,
  Network,
  randomQuantizedParameters,
} from '../src/index.js';

const backend = getDSConvBackend(BACKEND_NAME)!;
const { preprocessing } = getModel('resnet20.cifar10');
const statuses = await backend.tiers!();

/** The smallest picture that a network reads whole. */
function sideOf(name: string): number {
  if (name === 'alexnet') return 64;
  return /^vgg|^resnet(20|32|44|56)$/.test(name) ? 32 : 49;
}

const CLASSES = 10;
const BATCH = 2;

function input(side: number): Tensor4D {
  const values = Float32Array.from({ length: BATCH * side * side * 3 }, (_, n) =>
    Math.sin(n * 0.37 + n * n * 1e-4),
  );
  return tensor4d(values, [BATCH, side, side, 3]);
}

/** Length of the difference, as a part of the length of what was expected. */
function distance(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [difference, length] = [0, 0];
  for (let n = 0; n < expected.length; n++) {
    difference += (found[n]! - expected[n]!) ** 2;
    length += expected[n]! ** 2;
  }
  return Math.sqrt(difference / length);
}

/** The other depths and widths repeat the same modules; VGG's hundred million dense weights take seconds to pack on every tier. */
const NETWORKS = ARCHITECTURE_NAMES.filter(
  (name) => !/^vgg1[139]|^vgg16$|^resnet(32|44|101|152)$/.test(name),
);

describe.each(NETWORKS)('%s', (name) => {
  const side = sideOf(name);
  let network: Network;
  let expected: Float32Array;

  beforeAll(async () => {
    const architecture = createArchitecture({ name, classes: CLASSES, inputSize: side });
    const weights = randomQuantizedParameters(architecture, 5, { bits: 4, blockSize: 64 });
    network = new Network({ architecture, weights, preprocessing });
    await setBackend(backend.pinTier!('wasm-simd'));
    const logits = network.logits(input(side));
    expected = Float32Array.from(logits.dataSync());
    expect(logits.shape).toEqual([BATCH, CLASSES]);
    // Logits that are all alike would make the comparison easy.
    expect(
      distance(
        expected.map(() => expected.reduce((a, b) => a + b) / expected.length),
        expected,
      ),
    ).toBeGreaterThan(0.05);
  });

  afterAll(() => network.dispose());

  /** On the current backend. Float sums in another order round an activation to its neighbour here and there; a wrong kernel is far from this. */
  async function check(hasPlans: boolean): Promise<void> {
    const x = input(side);
    expect(distance(network.logits(x).dataSync(), expected)).toBeLessThan(0.02);
    const plan = await compile((pictures) => network.logits(pictures as Tensor4D), x);
    if (hasPlans) expect(plan.reason).toBeNull();
    else expect(plan.reason).toMatch(/has no plans/);
    const planned = (await plan.run(x)) as Tensor;
    expect(distance(planned.dataSync(), expected)).toBeLessThan(0.02);
    plan.dispose();
  }

  for (const { tier, available, reason = 'no reason given' } of statuses) {
    // The conformance suite decides which tiers must be here.
    it.skipIf(!available)(
      `on ${tier}${available ? '' : ` (not here: ${reason})`}, eagerly and as a plan`,
      async () => {
        await setBackend(backend.pinTier!(tier));
        await check(tier !== 'js');
      },
    );
  }

  const { available, reason } = statuses.find(({ tier }) => tier === 'native')!;
  it.skipIf(!available)(
    `on every instruction set of the native tier${available ? '' : ` (not here: ${reason})`}`,
    async () => {
      await setBackend(backend.pinTier!('native'));
      const native = await loadNative();
      const best = native.isa;
      expect(native.isas).toContain(best);
      try {
        for (const isa of native.isas.filter((name) => name !== best)) {
          native.setIsa(isa);
          await check(true);
        }
      } finally {
        native.setIsa(best);
      }
    },
  );
});

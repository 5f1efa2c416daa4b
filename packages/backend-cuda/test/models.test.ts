/** Whole networks, eagerly and as plans, against the CPU backend. */
import '@dsconv/backend-cpu';
import { compile, getDSConvBackend } from '@dsconv/core';
import { createArchitecture, getModel, loadModel, Network, randomQuantizedParameters } from '@dsconv/models';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { BACKEND_NAME } from '../src/index.js';
import { onCuda } from './support/cuda.js';

onCuda();

/** What an emulated multiprocessor needs for a network. */
const TIMEOUT = 240_000;

const wave = (shape: [number, number, number, number]) =>
  tf.tensor4d(
    Float32Array.from(
      { length: tf.util.sizeFromShape(shape) },
      (_, n) => Math.sin(n * 0.13) * Math.cos(n * 0.007),
    ),
    shape,
  );

/** Logits by the CPU, which was held against the reference by its own tests. */
async function onCpu(network: Network, shape: [number, number, number, number]): Promise<Float32Array> {
  await tf.setBackend(getDSConvBackend('dsconv-cpu')!.pinTier!('wasm-simd'));
  const logits = network.logits(wave(shape));
  const values = (await logits.data()) as Float32Array;
  await tf.setBackend(BACKEND_NAME);
  return values;
}

/** A value next to a rounding boundary may fall on either side of it, and differ by one step of its block from there on. */
function expectNear(found: Float32Array, wanted: Float32Array): void {
  const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  expect(largest).toBeGreaterThan(0);
  for (let n = 0; n < wanted.length; n++) {
    expect(Math.abs(found[n]! - wanted[n]!) / largest, `logit ${n}`).toBeLessThan(0.02);
  }
}

async function expectSame(
  network: Network,
  fresh: () => Promise<Network> | Network,
  shape: [number, number, number, number],
) {
  const wanted = await onCpu(network, shape);
  const own = await fresh();
  const x = wave(shape);
  expectNear((await own.logits(x).data()) as Float32Array, wanted);
  const plan = await compile((input) => own.logits(input as tf.Tensor4D), x);
  expect(plan.reason).toBeNull();
  for (const run of await Promise.all([plan.run(x), plan.run(x)])) {
    expectNear((await (run as tf.Tensor).data()) as Float32Array, wanted);
  }
  // From host memory to host memory.
  const outputs = [new Float32Array(wanted.length)];
  await plan.compiled!.run([x.dataSync() as Float32Array], outputs);
  expectNear(outputs[0]!, wanted);
  plan.dispose();
}

test('the shipped residual network', { timeout: TIMEOUT }, async () => {
  const load = () => loadModel('resnet20.fashion_mnist');
  await expectSame(await load(), load, [2, 28, 28, 1]);
});

test.each(['mobilenet_v1_0.25', 'mobilenet_v2_0.35'])(
  '%s on small pictures',
  { timeout: TIMEOUT },
  async (name) => {
    const side = 33;
    const make = () => {
      const architecture = createArchitecture({ name, classes: 10, inputSize: side });
      const weights = randomQuantizedParameters(architecture, 5, { bits: 4, blockSize: 64 });
      return new Network({
        architecture,
        weights,
        preprocessing: getModel('resnet20.cifar10').preprocessing,
      });
    };
    await expectSame(make(), make, [1, side, side, 3]);
  },
);

/** Whole networks as plans: latency and pictures per second, memory of the weights, and whether the logits are the network's. */

import { quantizeNetwork } from '@dsconv/converter';
import { compile } from '@dsconv/core';
import { backend, tensor4d } from '@tensorflow/tfjs-core';
import { CHANNELS, randomPictures, SIZE } from '../cpu/input.mjs';
import { NETWORKS } from '../cpu/networks.mjs';
import { randomNetwork } from '../random-network.mjs';
import { timesOf } from './clock.mjs';
import { bytesInUse, synchronize } from './device.mjs';
import { checkLogits, logitsOfCpu } from './logits.mjs';
import { bytesOfNetwork } from './storage.mjs';

export async function measureNetworks(options) {
  const rows = [];
  for (const name of options.networks) {
    const float = randomNetwork(NETWORKS[name].id);
    for (const bits of options.bits) {
      const { network } = await quantizeNetwork(float, {
        bits,
        blockSize: options.blockSize,
        method: 'absmax',
      });
      const reference = await logitsOfCpu(network);
      for (const batch of options.batches) {
        const row = { network: name, bits, blockSize: options.blockSize, batch };
        try {
          Object.assign(row, await measureNetwork(network, batch, reference, options));
        } catch (error) {
          row.error = error.message;
        }
        console.error(describe(row));
        rows.push(row);
      }
      network.dispose();
    }
    float.dispose();
  }
  return rows;
}

async function measureNetwork(network, batch, reference, { runs }) {
  const pictures = randomPictures(batch);
  const x = tensor4d(pictures, [batch, SIZE, SIZE, CHANNELS]);
  const before = bytesInUse();
  const plan = await compile((input) => network.logits(input), x);
  try {
    if (plan.mode !== 'compiled') throw new Error(`the network does not compile: ${plan.reason}`);
    // Everything that is alive now and was not before, but for the memory of the activations.
    const weightBytes = bytesInUse() - before - plan.compiled.arenaBytes;
    const outputs = plan.outputShapes.map((shape) => new Float32Array(shape.reduce((a, b) => a * b, 1)));
    const copied = await timesOf(() => plan.compiled.run([pictures], outputs), runs);
    const agreement = checkLogits(outputs[0].subarray(0, reference.length), reference);
    const onDevice = await timesOf(async () => {
      const y = await plan.run(x);
      await synchronize();
      y.dispose();
    }, runs);
    return {
      ms: { device: onDevice, copied, pipelined: await pipelined(plan, pictures, runs) },
      weightBytes,
      fileBytes: bytesOfNetwork(network),
      arenaBytes: plan.compiled.arenaBytes,
      agreement,
      backend: backend().constructor.name,
    };
  } finally {
    plan.dispose();
    x.dispose();
  }
}

/** Milliseconds of a run where the next ones are under way before it ends, copies included. */
async function pipelined(plan, pictures, runs) {
  const outputs = Array.from({ length: runs }, () =>
    plan.outputShapes.map((shape) => new Float32Array(shape.reduce((a, b) => a * b, 1))),
  );
  const begun = performance.now();
  await Promise.all(outputs.map((output) => plan.compiled.run([pictures], output)));
  return (performance.now() - begun) / runs;
}

function describe({ network, bits, batch, ms, error }) {
  if (error) return `${network}, ${bits} bits, batch ${batch}: ${error}`;
  const { device, copied } = ms;
  const perSecond = (1000 * batch) / device.median;
  return `${network}, ${bits} bits, batch ${batch}: ${device.median.toFixed(3)} ms (${perSecond.toFixed(0)} pictures/s), with copies ${copied.median.toFixed(3)} ms`;
}

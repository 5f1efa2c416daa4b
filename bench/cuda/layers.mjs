/** ResNet-50 step by step, beside what the device's tensor cores can do. */
import { measurePeaks, profilePlan } from '@dsconv/backend-cuda';
import { quantizeNetwork } from '@dsconv/converter';
import { captureAsync } from '@dsconv/core';
import { tensor4d } from '@tensorflow/tfjs-core';
import { CHANNELS, randomPictures, SIZE } from '../cpu/input.mjs';
import { NETWORKS } from '../cpu/networks.mjs';
import { randomNetwork } from '../random-network.mjs';
import { peaksLine } from './peaks-line.mjs';

const BATCH = 32;
/** From so many channels in and out a layer counts for the promise. */
const MANY = 128;

export async function measureLayers({ bits: [bits], blockSize, runs }) {
  const peaks = await measurePeaks();
  console.error(`peaks: ${peaksLine(peaks)}`);
  const float = randomNetwork(NETWORKS.resnet50.id);
  const { network } = await quantizeNetwork(float, { bits, blockSize, method: 'absmax' });
  const x = tensor4d(randomPictures(BATCH), [BATCH, SIZE, SIZE, CHANNELS]);
  const plan = profilePlan(await captureAsync((input) => network.logits(input), x));
  const samples = [];
  for (let n = 0; n < runs; n++) samples.push(await plan.run());
  plan.dispose();
  for (const used of [x, network, float]) used.dispose();
  const steps = samples[0].map((step, n) => {
    const times = samples.map((sample) => sample[n].microseconds).sort((a, b) => a - b);
    return describe(step, times[times.length >> 1], peaks);
  });
  for (const { what, microseconds, share } of steps) {
    console.error(
      `  ${what.padEnd(44)} ${microseconds.toFixed(1)} µs${share ? `, ${(100 * share).toFixed(0)} % of mma.sync` : ''}`,
    );
  }
  return { batch: BATCH, bits, blockSize, peaks, steps };
}

function describe({ op, geometry: g, depthwise, macs }, microseconds, peaks) {
  if (op !== 'convolution') return { what: op, op, macs, microseconds };
  const kind = depthwise ? 'depthwise' : `${g.inChannels} → ${g.outChannels}`;
  const what = `${g.kernelHeight}×${g.kernelWidth}/${g.strideHeight}, ${kind}, ${g.outHeight}×${g.outWidth}`;
  const counts = !depthwise && g.inChannels >= MANY && g.outChannels >= MANY;
  return {
    what,
    op,
    macs,
    microseconds,
    counts,
    share: macs / (microseconds * 1e-6) / peaks.integerProducts,
    ...(peaks.wgmmaProducts ? { wgmmaShare: macs / (microseconds * 1e-6) / peaks.wgmmaProducts } : {}),
  };
}

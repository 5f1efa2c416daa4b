/** Agreement with the float network and top-1, by the command line, on real pictures; peak memory of the same runs. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dsconv } from './cli.mjs';
import { dataPath } from './data.mjs';

const CASES = [
  {
    network: 'MobileNet v1 0.75',
    model: 'mobilenet-v1-0.75-224',
    pictures: 'imagenet-photos',
    bits: [8, 6, 4],
  },
  {
    network: 'CIFAR ResNet-20',
    model: 'cifar-resnet20.safetensors',
    pictures: 'cifar10-test.bin',
    bits: [8, 4, 3, 2],
  },
  {
    network: 'CIFAR ResNet-56',
    model: 'cifar-resnet56.safetensors',
    pictures: 'cifar10-test.bin',
    bits: [8, 4, 3, 2],
  },
];

export async function accuracy() {
  const folder = await mkdtemp(join(tmpdir(), 'dsconv-bench-'));
  const rows = [];
  const skipped = [];
  try {
    for (const { network, model, pictures, bits } of CASES) {
      const [source, set] = [dataPath(model), dataPath(pictures)];
      if (!source || !set) {
        skipped.push(`${network}: ${model} or ${pictures} is not there; set DSCONV_DATA`);
        continue;
      }
      const float = await dsconv(['eval', set, '--model', source]);
      rows.push({ network, bits: 32, blockSize: null, ...float, agreement: 1 });
      for (const b of bits) {
        const out = join(folder, `${b}.safetensors`);
        await dsconv(['quantize', source, '-o', out, '--bits', `${b}`, '--block', '64']);
        const result = await dsconv(['eval', set, '--model', out, '--reference', source]);
        // Speed and memory without the reference beside it.
        const alone = await dsconv(['eval', set, '--model', out]);
        const { imagesPerSecond, peakMemoryBytes } = alone;
        rows.push({ network, bits: b, blockSize: 64, ...result, imagesPerSecond, peakMemoryBytes });
      }
    }
    return { rows, skipped };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

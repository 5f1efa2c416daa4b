/** Bytes: ResNet-18 and ResNet-50 (random weights serve) and the networks at hand, quantized by the command line, counted from the files. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dsconv } from './cli.mjs';
import { dataPath } from './data.mjs';
import { writeRandomNetwork } from './random-network.mjs';

const SETTINGS = [
  { bits: 2, block: 128 },
  { bits: 4, block: 64 },
  { bits: 4, block: 32 },
  { bits: 8, block: 64 },
];

export async function storage() {
  const folder = await mkdtemp(join(tmpdir(), 'dsconv-bench-'));
  try {
    const resnet18 = join(folder, 'resnet18.safetensors');
    await writeRandomNetwork('resnet18.tv_in1k', resnet18);
    const resnet50 = join(folder, 'resnet50.safetensors');
    await writeRandomNetwork('resnet50.tv_in1k', resnet50);
    const networks = [
      { name: 'ResNet-18 (random weights)', path: resnet18 },
      { name: 'ResNet-50 (random weights)', path: resnet50 },
      { name: 'MobileNet v1 0.75', path: dataPath('mobilenet-v1-0.75-224') },
    ];
    const rows = [];
    for (const { name, path } of networks) {
      if (!path) continue;
      for (const { bits, block } of SETTINGS) {
        const out = join(folder, 'quantized.safetensors');
        const args = ['quantize', path, '-o', out, '--bits', `${bits}`, '--block', `${block}`];
        // The search for better scales changes no byte's place.
        const { layers: _, output: __, ...bytes } = await dsconv([...args, '--method', 'absmax']);
        rows.push({
          network: name,
          bits,
          blockSize: block,
          ...bytes,
          kernelRatio: bytes.kernelBytesBefore / bytes.kernelBytesAfter,
          totalRatio: bytes.bytesBefore / bytes.bytesAfter,
        });
      }
    }
    return { rows };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Peak resident memory of one picture through ResNet-50 (random weights), float and quantized, each in a process of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dsconv } from './cli.mjs';
import { writeRandomNetwork } from './random-network.mjs';

const PICTURES = fileURLToPath(new URL('../packages/models/assets/fashion-mnist', import.meta.url));

export async function memory() {
  const folder = await mkdtemp(join(tmpdir(), 'dsconv-bench-'));
  try {
    const float = join(folder, 'float.safetensors');
    await writeRandomNetwork('resnet50.tv_in1k', float);
    const rows = [];
    for (const bits of [32, 8, 4, 2]) {
      const model = bits === 32 ? float : join(folder, `${bits}.safetensors`);
      if (bits !== 32) await dsconv(['quantize', float, '-o', model, '--bits', `${bits}`, '--block', '64']);
      const { peakMemoryBytes, tier } = await dsconv(['eval', PICTURES, '--model', model, '--limit', '1']);
      rows.push({ network: 'ResNet-50 (random weights)', bits, tier, peakMemoryBytes });
    }
    return { rows };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

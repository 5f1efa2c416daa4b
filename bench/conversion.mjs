/** How long it takes to quantize a network with rounding only, on one core: the whole command, from its start to the written file. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dataPath } from './data.mjs';
import { writeRandomNetwork } from './random-network.mjs';

const DSCONV = fileURLToPath(new URL('../apps/cli/bin/dsconv.js', import.meta.url));
const RUNS = 3;

/** Seconds that the project promises. */
const CASES = [
  { network: 'MobileNet v1 0.75 (random weights)', id: 'mobilenet_v1_0.75.keras_in1k', limit: 5 },
  { network: 'ResNet-18 (random weights)', id: 'resnet18.tv_in1k', limit: null },
  { network: 'ResNet-50 (random weights)', id: 'resnet50.tv_in1k', limit: 15 },
];

export async function conversion() {
  const folder = await mkdtemp(join(tmpdir(), 'dsconv-bench-'));
  const pinned = canPin();
  const rows = [];
  try {
    for (const { network, id, limit } of CASES) {
      const input = join(folder, 'float.safetensors');
      await writeRandomNetwork(id, input);
      const out = join(folder, 'out.safetensors');
      const args = ['quantize', input, '-o', out, '--bits', '4', '--block', '64'];
      rows.push(
        await timed(
          { network, command: 'dsconv quantize --bits 4 --block 64', limit },
          args,
          input,
          out,
          pinned,
        ),
      );
    }
    const layersModel = dataPath('mobilenet-v1-0.75-224');
    if (layersModel) {
      const out = join(folder, 'converted');
      const args = ['convert', join(layersModel, 'model.json'), '-o', out, '--bits', '8', '--block', '64'];
      const row = {
        network: 'MobileNet v1 0.75, a LayersModel',
        command: 'dsconv convert --bits 8 --block 64',
        limit: 5,
      };
      rows.push(await timed(row, args, null, null, pinned));
    }
    return { pinned, rows };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function timed(row, args, input, output, pinned) {
  const seconds = [];
  for (let run = 0; run < RUNS; run++) {
    const started = performance.now();
    await dsconv(args, pinned);
    seconds.push((performance.now() - started) / 1000);
    if (output === null) await rm(args[args.indexOf('-o') + 1], { recursive: true, force: true });
  }
  const sizeOf = async (path) => (path === null ? null : (await stat(path)).size);
  return {
    ...row,
    bytesBefore: await sizeOf(input),
    bytesAfter: await sizeOf(output),
    seconds: seconds.toSorted((a, b) => a - b)[Math.floor(RUNS / 2)],
    runs: seconds,
  };
}

/** Whether a process can be held to one core here. */
function canPin() {
  try {
    execFileSync('taskset', ['-c', '0', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function dsconv(args, pinned) {
  const node = [process.execPath, DSCONV, ...args, '--json'];
  const [command, ...rest] = pinned ? ['taskset', '-c', '0', ...node] : node;
  return new Promise((resolve, reject) => {
    const child = spawn(command, rest, { stdio: ['ignore', 'ignore', 'inherit'] });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`dsconv ${args.join(' ')} ended with exit code ${code}`));
    });
  });
}

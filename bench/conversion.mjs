/**
 * How long it takes to quantize a network without pictures, on one core: the whole command, from its start to the written file. Processor time
 * beside time on the clock, because the core is shared with others.
 */
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
  const runs = [];
  for (let run = 0; run < RUNS; run++) {
    const started = performance.now();
    const cpuSeconds = await dsconv(args, pinned);
    runs.push({ cpuSeconds, seconds: (performance.now() - started) / 1000 });
    if (output === null) await rm(args[args.indexOf('-o') + 1], { recursive: true, force: true });
  }
  const sizeOf = async (path) => (path === null ? null : (await stat(path)).size);
  const median = (key) => runs.map((run) => run[key]).toSorted((a, b) => a - b)[Math.floor(RUNS / 2)];
  return {
    ...row,
    bytesBefore: await sizeOf(input),
    bytesAfter: await sizeOf(output),
    cpuSeconds: median('cpuSeconds'),
    seconds: median('seconds'),
    runs,
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

/** Tells this process at its end how long it computed, all its threads together. */
const TELL_CPU = 'data:text/javascript,process.on("exit",()=>process.send(process.cpuUsage()))';

/** @returns processor time in seconds */
function dsconv(args, pinned) {
  const node = [process.execPath, '--import', TELL_CPU, DSCONV, ...args, '--json'];
  const [command, ...rest] = pinned ? ['taskset', '-c', '0', ...node] : node;
  return new Promise((resolve, reject) => {
    const child = spawn(command, rest, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    let used = null;
    child.on('message', ({ user, system }) => {
      used = (user + system) / 1e6;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0 && used !== null) resolve(used);
      else reject(new Error(`dsconv ${args.join(' ')} ended with exit code ${code}`));
    });
  });
}

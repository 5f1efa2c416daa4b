/** How a plan behaves in a process: how late a timer gets while it runs, what it keeps resident, whether memory stays flat. ResNet-50, 4 bits. */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dsconv } from './cli.mjs';
import { writeRandomNetwork } from './random-network.mjs';

/** @param {{ seconds?: number }} options how long the loop runs */
export async function plans({ seconds = 60 } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'dsconv-bench-'));
  try {
    const [float, quantized] = ['float', 'quantized'].map((name) => join(folder, `${name}.safetensors`));
    await writeRandomNetwork('resnet50.tv_in1k', float);
    await dsconv(['quantize', float, '-o', quantized, '--bits', '4', '--block', '64', '--method', 'absmax']);
    const { size: fileBytes } = await stat(quantized);
    return { fileBytes, ...(await child(quantized, seconds)) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Measures in a process of its own, so that nothing else is resident. */
function child(file, seconds) {
  return new Promise((resolve, reject) => {
    const args = ['--expose-gc', fileURLToPath(import.meta.url), file, `${seconds}`];
    const process_ = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    process_.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
    process_.on('close', (code) =>
      code === 0 ? resolve(JSON.parse(output)) : reject(new Error(`exit code ${code}`)),
    );
  });
}

/** Resident bytes after garbage collection. */
async function resident() {
  for (let n = 0; n < 4; n++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return process.memoryUsage.rss();
}

async function measure(file, seconds) {
  await import('@dsconv/backend-cpu');
  const { compile, selectBackend } = await import('@dsconv/core');
  const { readNetwork } = await import('@dsconv/models');
  const tf = await import('@tensorflow/tfjs-core');
  const { tier } = await selectBackend(['dsconv-cpu']);
  const x = tf.zeros([1, 224, 224, 3]);
  const before = await resident();
  let network = readNetwork(new Uint8Array(await readFile(file)), file);
  const plan = await compile((input) => network.logits(input), x);
  const { compiled } = plan;
  const [input, output] = [new Float32Array(224 * 224 * 3).fill(0.5), new Float32Array(1000)];
  await compiled.run([input], [output]);
  const growth = (await resident()) - before;
  // The plan has its own packing: whoever only runs plans can let the network go.
  network.dispose();
  network = null;
  const planGrowth = (await resident()) - before;

  const late = [];
  let due = performance.now() + 1;
  const timer = setInterval(() => {
    const now = performance.now();
    late.push(now - due);
    due = now + 1;
  }, 1);
  const start = await resident();
  const end = performance.now() + seconds * 1000;
  const samples = [];
  let runs = 0;
  late.length = 0;
  due = performance.now() + 1;
  while (performance.now() < end) {
    await compiled.run([input], [output]);
    if (++runs % 200 === 0) samples.push(process.memoryUsage.rss() - start);
  }
  clearInterval(timer);
  late.sort((a, b) => a - b);
  const at = (share) => late[Math.min(late.length - 1, Math.floor(late.length * share))];
  const loop = {
    seconds,
    runs,
    growthBytes: (await resident()) - start,
    samples: samples.filter((_, n) => n % 10 === 0),
  };
  return {
    tier,
    mode: plan.mode,
    arenaBytes: compiled.arenaBytes,
    liveBytes: compiled.liveBytes,
    residentGrowthBytes: growth,
    residentGrowthPlanOnlyBytes: planGrowth,
    timerLateMs: { ticks: late.length, median: at(0.5), p99: at(0.99), max: at(1) },
    loop,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(JSON.stringify(await measure(process.argv[2], Number(process.argv[3]))));
}

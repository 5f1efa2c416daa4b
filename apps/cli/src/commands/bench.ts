import { checkOutputPath, writeFileAtomic } from '@dsconv/converter';
import { getDSConvBackend, InvalidArgumentError } from '@dsconv/core';
import { useBackend } from '../backends.js';
import { type Engine, peerEngine, tierEngines } from '../bench/engines.js';
import type { BenchLayer } from '../bench/layer.js';
import {
  type BenchCase,
  type BenchRatio,
  type BenchTotal,
  measureLayer,
  ratios,
  totals,
} from '../bench/layers.js';
import { NETWORKS, networkLayers } from '../bench/network-layers.js';
import { type Context, printJson, type RegisterCommand } from '../context.js';
import { table } from '../format.js';
import { turn } from '../interruption.js';
import { describeMachine } from '../machine.js';
import { type CommonOptions, checkRange, integer, list, withCommonOptions } from '../options.js';
import { createProgress } from '../progress.js';

interface BenchOptions extends CommonOptions {
  peer?: string[];
  bits: number;
  block: number;
  tiers?: string[];
  network: string[];
  runs: number;
  out?: string;
}

export const registerBench: RegisterCommand = (program, context) => {
  const bench = program.command('bench').description('measure speed on this machine').helpCommand(false);
  const layers = bench
    .command('layers')
    .description('time the convolution layers of networks, in one run that takes turns between all engines')
    .option('--peer <names>', 'float32 peers to compare with: tfjs-wasm', list)
    .option('--bits <n>', 'weight bits; the first and depthwise layers keep 8', integer, 4)
    .option('--block <n>', 'block size', integer, 64)
    .option('--tiers <names>', 'tiers to measure (default: all that work but js, which is slow)', list)
    .option('--network <names>', `networks: ${Object.keys(NETWORKS).join(', ')}`, list, Object.keys(NETWORKS))
    .option('--runs <n>', 'samples per layer and engine, of which the median is taken', integer, 10)
    .option('--out <file>', 'also write the JSON to a file')
    .action((options: BenchOptions) => benchLayers(options, context));
  withCommonOptions(layers, [
    'dsconv bench layers --peer tfjs-wasm',
    'dsconv bench layers --network resnet50 --tiers wasm-simd,wasm-relaxed-simd --out layers.json',
  ]);
};

async function benchLayers(options: BenchOptions, { io }: Context): Promise<void> {
  const { bits, block, runs } = options;
  checkRange('--bits', bits, 2, 8);
  checkRange('--block', block, 1);
  checkRange('--runs', runs, 1);
  if (options.out !== undefined) await checkOutputPath(options.out);
  const networks = options.network.map((name) => ({ name, layers: networkLayers(name, bits, block) }));
  const engines = await chooseEngines(options, io);
  const silent = options.json === true;
  if (!silent && !io.stderr.isTTY) {
    io.stderr.write(`measuring ${engines.map(engineName).join(', ')}: ${runs} runs per layer\n`);
  }
  const progress = createProgress(
    io,
    silent,
    'bench',
    networks.reduce((sum, { layers }) => sum + layers.length, 0),
  );
  const cases: BenchCase[] = [];
  let done = 0;
  try {
    for (const { name, layers } of networks) {
      for (const layer of layers) {
        await turn(io.signal);
        progress.update(done++, `${name}: ${layer.name}`);
        const times = await measureLayer(engines, layer, runs);
        cases.push(...engines.map((engine, n) => benchCase(name, layer, engine, times[n]!)));
      }
    }
  } finally {
    progress.finish();
  }
  const sums = totals(cases);
  const result = { machine: describeMachine(), runs, cases, totals: sums, ratios: ratios(sums) };
  if (options.out !== undefined) await writeFileAtomic(options.out, `${JSON.stringify(result, null, 2)}\n`);
  if (options.json) printJson(io, result);
  else io.stdout.write(report(networks, engines, cases, sums, result.ratios));
}

/** Tiers of the backend first, then peers. */
async function chooseEngines(options: BenchOptions, io: Context['io']): Promise<Engine[]> {
  const { name: selected } = await useBackend(options, io);
  const name = selected.split('/')[0]!;
  const states = await getDSConvBackend(name)!.tiers();
  const pinned = selected.slice(name.length + 1);
  const wanted =
    options.tiers ??
    (pinned
      ? [pinned]
      : states.filter(({ tier, available }) => available && tier !== 'js').map(({ tier }) => tier));
  for (const tier of wanted) {
    const state = states.find((candidate) => candidate.tier === tier);
    if (!state) {
      const known = states.map((candidate) => candidate.tier).join(', ');
      throw new InvalidArgumentError(`tier '${tier}' is not one of backend '${name}'; expected ${known}`);
    }
    if (!state.available) {
      throw new InvalidArgumentError(`tier '${tier}' of backend '${name}' is not available: ${state.reason}`);
    }
  }
  if (wanted.length === 0) {
    throw new InvalidArgumentError(`backend '${name}' has no fast tier here; expected --tiers to name one`);
  }
  const engines = await tierEngines(name, wanted);
  for (const peer of options.peer ?? []) engines.push(await peerEngine(peer));
  return engines;
}

function benchCase(network: string, layer: BenchLayer, engine: Engine, medianMs: number): BenchCase {
  const quantized = engine.tier !== null;
  return {
    network,
    layer: layer.name,
    engine: engine.name,
    tier: engine.tier,
    bits: quantized ? layer.bits : null,
    blockSize: quantized ? layer.blockSize : null,
    medianMs,
    macs: layer.macs,
    count: layer.count,
  };
}

function engineName({ name, tier }: Pick<Engine, 'name' | 'tier'>): string {
  return tier ?? name;
}

function report(
  networks: readonly { name: string; layers: readonly BenchLayer[] }[],
  engines: readonly Engine[],
  cases: readonly BenchCase[],
  sums: readonly BenchTotal[],
  comparisons: readonly BenchRatio[],
): string {
  const names = engines.map(engineName);
  const right = [1, 2, ...names.map((_, n) => n + 3)];
  let text = '';
  let at = 0;
  for (const { name, layers } of networks) {
    const rows = layers.map((layer) => {
      const times = engines.map(() => cases[at++]!.medianMs.toFixed(3));
      return [layer.name, `${layer.count}`, `${layer.bits}`, ...times];
    });
    const totalOf = (n: number) => sums.filter((sum) => sum.network === name)[n]!;
    rows.push(['all layers, ms', '', '', ...engines.map((_, n) => totalOf(n).ms.toFixed(1))]);
    rows.push(['GMAC/s', '', '', ...engines.map((_, n) => totalOf(n).gmacs.toFixed(1))]);
    text += `${name}, milliseconds per layer\n${table(['layer', 'times', 'bits', ...names], rows, right)}`;
    for (const { network, tier, peer, ratio } of comparisons) {
      if (network === name) text += `${tier} is ${ratio.toFixed(2)} times as fast as ${peer}\n`;
    }
    text += '\n';
  }
  return text;
}

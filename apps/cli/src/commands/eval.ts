import { InvalidArgumentError } from '@dsconv/core';
import type { Network } from '@dsconv/models';
import { useBackend } from '../backends.js';
import { type Context, printJson, type RegisterCommand } from '../context.js';
import { type Sample, selectSamples } from '../data-sets/data-set.js';
import { openDataSet } from '../data-sets/index.js';
import { DataSetError } from '../errors.js';
import { Scores } from '../eval-scores.js';
import { bytes, count, percent } from '../format.js';
import { turn } from '../interruption.js';
import type { Io } from '../io.js';
import { peakMemory } from '../machine.js';
import { openNetwork } from '../networks.js';
import { type CommonOptions, checkRange, integer, remainder, withCommonOptions } from '../options.js';
import { type Prediction, predict, topClass, warmUpNetwork } from '../predict.js';
import { createProgress } from '../progress.js';

interface EvalOptions extends CommonOptions {
  model: string;
  reference?: string;
  limit?: number;
  batch: number;
  filterMod?: { modulus: number; remainder: number };
}

export const registerEval: RegisterCommand = (program, context) => {
  const command = program
    .command('eval')
    .description('measure top-1, top-5, agreement with a reference, and speed on a set of pictures')
    .argument('<dir>', 'NNNN.jpg pictures, class folders, labels.json, CIFAR-10 *.bin or IDX files')
    .requiredOption('--model <file|id>', 'quantized file, float network, or id of a network of the zoo')
    .option('--reference <file|id>', 'network to agree with, usually the float one')
    .option('--limit <n>', 'at most this many pictures, spread evenly over the set', integer)
    .option('--batch <n>', 'pictures per run', integer, 1)
    .option(
      '--filter-mod <m=r>',
      'only pictures whose number leaves remainder r when divided by m',
      remainder,
    )
    .action((dir: string, options: EvalOptions) => evaluate(dir, options, context));
  withCommonOptions(command, [
    'dsconv eval photos --model mobilenet-8bit.safetensors --reference mobilenet/model.json',
    'dsconv eval imagenet/val --model mobilenet-8bit.safetensors --limit 1000 --json',
  ]);
  command.addHelpText(
    'after',
    `
The number of a picture is the NNNN of its name, else its position in the set. Images per second are those of the
model alone, without decoding and resizing. Agreement is the part of the pictures for which model and reference
name the same class first.`,
  );
};

async function evaluate(dir: string, options: EvalOptions, { io }: Context): Promise<void> {
  checkRange('--limit', options.limit, 1);
  checkRange('--batch', options.batch, 1);
  checkRange('the modulus of --filter-mod', options.filterMod?.modulus, 1);
  const backend = await useBackend(options, io);
  const network = await openNetwork(options.model, undefined, { io, silent: options.json === true });
  const reference = options.reference === undefined ? null : await openNetwork(options.reference);
  checkSameClasses(network, reference);
  const set = await openDataSet(dir, {
    count: network.architecture.classes,
    names: network.labels.length > 0 ? network.labels : null,
  });
  const samples = selectSamples(set.samples, options.filterMod, options.limit);
  if (samples.length === 0) throw new DataSetError(`no picture of '${dir}' passes --filter-mod`);
  if (set.unlabelled !== null && !options.json) {
    io.stderr.write(`top-1 and top-5 are not known: ${set.unlabelled}\n`);
  }
  const results = await run(samples, network, reference, options, io);
  const { milliseconds, referenceMilliseconds, scores, referenceScores, agreed } = results;
  const images = samples.length;
  const result = {
    images,
    top1: scores.top(1),
    top5: scores.top(5),
    agreement: reference ? agreed / images : null,
    imagesPerSecond: (images * 1000) / milliseconds,
    peakMemoryBytes: peakMemory(),
    backend: backend.name,
    tier: backend.tier,
    reference: reference && {
      top1: referenceScores.top(1),
      top5: referenceScores.top(5),
      imagesPerSecond: (images * 1000) / referenceMilliseconds,
    },
  };
  network.dispose();
  reference?.dispose();
  if (options.json) {
    printJson(io, result);
    return;
  }
  io.stdout.write(
    `${count(images, 'picture')} on ${backend.name}${backend.tier ? ` (${backend.tier})` : ''}\n`,
  );
  io.stdout.write(`top-1       ${percent(result.top1)}\n`);
  io.stdout.write(`top-5       ${percent(result.top5)}\n`);
  if (result.reference) {
    io.stdout.write(`agreement   ${percent(result.agreement)}\n`);
    io.stdout.write(
      `reference   top-1 ${percent(result.reference.top1)}, top-5 ${percent(result.reference.top5)}`,
    );
    io.stdout.write(`, ${result.reference.imagesPerSecond.toFixed(1)} images/s\n`);
  }
  io.stdout.write(`images/s    ${result.imagesPerSecond.toFixed(1)}\n`);
  io.stdout.write(`peak memory ${bytes(result.peakMemoryBytes)}${reference ? ' with both networks' : ''}\n`);
}

function checkSameClasses(network: Network, reference: Network | null): void {
  if (!reference || reference.architecture.classes === network.architecture.classes) return;
  throw new InvalidArgumentError(
    `the reference has ${reference.architecture.classes} classes; expected ${network.architecture.classes} as the model`,
  );
}

async function run(
  samples: readonly Sample[],
  network: Network,
  reference: Network | null,
  options: EvalOptions,
  io: Io,
) {
  const results = {
    milliseconds: 0,
    referenceMilliseconds: 0,
    agreed: 0,
    scores: new Scores(),
    referenceScores: new Scores(),
  };
  const progress = createProgress(io, options.json === true, 'eval', samples.length);
  warmUpNetwork(network);
  if (reference) warmUpNetwork(reference);
  try {
    for (let start = 0; start < samples.length; start += options.batch) {
      await turn(io.signal);
      progress.update(start);
      const batch = samples.slice(start, start + options.batch);
      // Decoded before the clock starts: the decoder works on other threads and would slow the network down.
      const images = await Promise.all(batch.map((sample) => sample.read()));
      const found = predict(network, images);
      const wanted: Prediction | null = reference && predict(reference, images);
      results.milliseconds += found.milliseconds;
      results.referenceMilliseconds += wanted?.milliseconds ?? 0;
      for (const [n, { label }] of batch.entries()) {
        const values = found.probabilities[n]!;
        results.scores.add(values, label);
        if (!wanted) continue;
        results.referenceScores.add(wanted.probabilities[n]!, label);
        const top = topClass(values);
        if (top >= 0 && top === topClass(wanted.probabilities[n]!)) results.agreed++;
      }
    }
  } finally {
    progress.finish();
  }
  return results;
}

import { InvalidArgumentError } from '@dsconv/core';
import type { Network } from '@dsconv/models';
import { useBackend } from '../backends.js';
import { type Context, printJson, type RegisterCommand } from '../context.js';
import { EXIT_ERROR, errorAsJson, toDSConvError } from '../errors.js';
import { turn } from '../interruption.js';
import { openNetwork } from '../networks.js';
import { type CommonOptions, checkRange, integer, withCommonOptions } from '../options.js';
import { expandPictures, readPicture } from '../pictures.js';
import { largest, predict, warmUpNetwork } from '../predict.js';
import { createProgress } from '../progress.js';

interface ClassifyOptions extends CommonOptions {
  model: string;
  top: number;
}

interface Guess {
  index: number;
  /** Null where the network's file names no classes. */
  label: string | null;
  probability: number;
}

type Result =
  | { file: string; milliseconds: number; top: Guess[] }
  | { file: string; error: { code: string; message: string } };

export const registerClassify: RegisterCommand = (program, context) => {
  const command = program
    .command('classify')
    .description('name what pictures show: JPEG, PNG, WebP, TIFF, GIF or AVIF files, folders or quoted globs')
    .argument('<picture...>', 'picture files, folders of pictures, or globs')
    .requiredOption('--model <file|id>', 'quantized file, float network, or id of a network of the zoo')
    .option('--top <n>', 'how many classes to print', integer, 5)
    .action((pictures: string[], options: ClassifyOptions) => classify(pictures, options, context));
  withCommonOptions(command, [
    'dsconv classify photo.jpg --model resnet50.tv_in1k',
    "dsconv classify 'holiday/**/*.jpg' --model mobilenet.safetensors --top 3 --json",
  ]);
};

async function classify(pictures: string[], options: ClassifyOptions, context: Context): Promise<void> {
  const { io } = context;
  checkRange('--top', options.top, 1);
  const files = await expandPictures(pictures);
  const { tier } = await useBackend(options, io);
  const network = await openNetwork(options.model, undefined, { io, silent: options.json === true });
  // In the js tier a run takes seconds, and there is nothing to warm up.
  if (tier !== 'js') warmUpNetwork(network);
  const progress = createProgress(io, options.json === true || files.length < 2, 'classify', files.length);
  const results: Result[] = [];
  for (const [n, file] of files.entries()) {
    await turn(io.signal);
    progress.update(n, file);
    const result = await classifyOne(file, network, options.top);
    results.push(result);
    if ('error' in result) context.exitCode = EXIT_ERROR;
    if (options.json) continue;
    progress.finish();
    if ('error' in result) io.stderr.write(`error: ${result.error.message}\n`);
    else io.stdout.write(describe(result));
  }
  progress.finish();
  network.dispose();
  if (options.json) printJson(io, { results });
}

/** One picture; what is wrong with it is its result, so that the others are still classified. */
async function classifyOne(file: string, network: Network, top: number): Promise<Result> {
  try {
    const { probabilities, milliseconds } = predict(network, [await readPicture(file)]);
    const values = probabilities[0]!;
    if (values.some(Number.isNaN)) {
      throw new InvalidArgumentError(`network '${network.architecture.name}' computed NaN for '${file}'`);
    }
    const guesses = largest(values, top).map((index) => ({
      index,
      label: network.labels[index] ?? null,
      probability: values[index]!,
    }));
    return { file, milliseconds, top: guesses };
  } catch (error) {
    return { file, error: errorAsJson(toDSConvError(error, file)) };
  }
}

function describe({ file, milliseconds, top }: Extract<Result, { top: Guess[] }>): string {
  const lines = top.map(
    ({ index, label, probability }) =>
      `  ${(probability * 100).toFixed(1).padStart(5)} %  ${label ?? `class ${index}`}\n`,
  );
  return `${file} (${milliseconds.toFixed(1)} ms)\n${lines.join('')}`;
}

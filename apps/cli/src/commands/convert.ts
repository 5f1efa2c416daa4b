import {
  type ConversionReport,
  type ConvertOptions,
  convertModel,
  type LayerOptions,
  writeModelFiles,
} from '@dsconv/converter';
import { type Command, InvalidArgumentError as MalformedArgument } from 'commander';
import { useBackend } from '../backends.js';
import { type Context, printJson, type RegisterCommand } from '../context.js';
import { bytes, count, decibels, table } from '../format.js';
import { turn } from '../interruption.js';
import { type CommonOptions, checkRange, integer, integerOrNone, withCommonOptions } from '../options.js';
import { createProgress, type Progress } from '../progress.js';

interface Options extends CommonOptions {
  output: string;
  bits: number;
  block: number;
  firstBits: number;
  depthwiseBits: number;
  activationBits: number | 'none';
  layer: Record<string, LayerOptions>;
  inputShape: Record<string, number[]>;
  verify: boolean;
}

export const registerConvert: RegisterCommand = (program: Command, context) => {
  const command = program
    .command('convert')
    .description('turn a TensorFlow.js GraphModel into a smaller one that loads where the old one loaded')
    .argument('<in>', 'model.json of a GraphModel, or its folder')
    .requiredOption('-o, --output <folder>', 'folder to write model.json and its shards to')
    .option('--bits <n>', 'weight bits, 2 to 8', integer, 8)
    .option('--block <n>', 'weights along the depth that share a scale', integer, 64)
    .option('--first-bits <n>', 'weight bits of the first convolution', integer, 8)
    .option('--depthwise-bits <n>', 'weight bits of depthwise convolutions', integer, 8)
    .option('--activation-bits <n|none>', 'bits of activations, 2 to 8, or none for float', integerOrNone, 8)
    .option(
      '--layer <pattern=bits>',
      'bits of some convolutions by name, * for anything; repeatable',
      layer,
      {},
    )
    .option('--input-shape <name=shape>', 'such as x=1,224,224,3, where the model leaves it open', shape, {})
    .option('--no-verify', 'do not compare the result with the original')
    .action((input: string, options: Options) => convert(input, options, context));
  withCommonOptions(command, [
    'dsconv convert my-model/model.json -o my-model-8bit',
    "dsconv convert my-model -o my-model-4bit --bits 4 --block 32 --layer 'head/*=8'",
  ]);
};

/** `pattern=bits`, added to what was given before. */
function layer(text: string, before: Record<string, LayerOptions>): Record<string, LayerOptions> {
  const match = /^(.+)=(\d+)$/.exec(text);
  if (!match) throw new MalformedArgument('Expected PATTERN=BITS, such as head/*=8.');
  return { ...before, [match[1]!]: { bits: Number(match[2]) } };
}

/** `name=1,2,3`, added to what was given before. */
function shape(text: string, before: Record<string, number[]>): Record<string, number[]> {
  const match = /^(.+)=(\d+(?:,\d+)*)$/.exec(text);
  if (!match) throw new MalformedArgument('Expected NAME=SIZES, such as x=1,224,224,3.');
  return { ...before, [match[1]!]: match[2]!.split(',').map(Number) };
}

async function convert(input: string, options: Options, { io }: Context): Promise<void> {
  const { output, bits, block, firstBits, depthwiseBits, verify } = options;
  checkRange('--bits', bits, 2, 8);
  checkRange('--block', block, 1);
  await useBackend(options, io);
  let progress: Progress | null = null;
  const wanted: ConvertOptions = {
    bits,
    blockSize: block,
    firstBits,
    depthwiseBits,
    activationBits: options.activationBits === 'none' ? null : options.activationBits,
    layers: options.layer,
    inputShapes: options.inputShape,
    verify,
    onProgress({ done, total, layer: name }) {
      progress ??= createProgress(io, options.json === true, 'convert', total);
      progress.update(done, name ?? '');
    },
  };
  let conversion: Awaited<ReturnType<typeof convertModel>>;
  try {
    conversion = await convertModel(input, wanted);
  } finally {
    (progress as Progress | null)?.finish();
  }
  await turn(io.signal);
  await writeModelFiles(output, conversion.files);
  if (options.json) printJson(io, { ...conversion.report, output });
  else io.stdout.write(describe(conversion.report, output));
}

function describe(report: ConversionReport, output: string): string {
  const { layers, left, kept, verification, bytesBefore, bytesAfter, bitsPerWeight } = report;
  const rows = layers.map((row) => [
    row.name,
    row.kind,
    row.shape.join('×'),
    `${row.bits}`,
    bytes(row.bytesBefore),
    bytes(row.bytesAfter),
    decibels(row.snrDb ?? Infinity),
  ]);
  const others = Object.entries(kept).map(([op, n]) => `${n} ${op}`);
  const compared =
    verification.notCompared === null
      ? verification.outputs.map(
          ({ name, snrDb }) =>
            `compared ${name}: ${decibels(snrDb ?? Infinity)} on ${verification.inputs} inputs`,
        )
      : [`compared not: ${verification.notCompared}`];
  return [
    table(['node', 'kind', 'shape', 'bits', 'before', 'after', 'SNR'], rows, [3, 4, 5, 6]),
    ...left.map(({ name, op, reason }) => `left     ${name} (${op}): ${reason}`),
    `kept     ${others.join(', ') || 'nothing else'}`,
    ...compared,
    `file     ${bytes(bytesBefore)} → ${bytes(bytesAfter)}, ${count(layers.length, 'convolution')} at ${bitsPerWeight.toFixed(3)} bits per weight`,
    `wrote ${output}`,
    '',
  ].join('\n');
}

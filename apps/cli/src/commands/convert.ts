import {
  type AccuracyReport,
  type ConversionReport,
  type ConvertOptions,
  convertModel,
  type LayerOptions,
  type LeftNode,
  type ModelPictures,
  writeModelFiles,
} from '@dsconv/converter';
import { type Command, InvalidArgumentError as MalformedArgument } from 'commander';
import { useBackend } from '../backends.js';
import { openModelPictures } from '../calibration.js';
import { type Context, printJson, type RegisterCommand } from '../context.js';
import { bytes, count, decibels, table } from '../format.js';
import { turn } from '../interruption.js';
import {
  type CommonOptions,
  checkRange,
  integer,
  integerOrNone,
  numbers,
  remainder,
  withCommonOptions,
} from '../options.js';
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
  nhwc?: boolean;
  verify: boolean;
  biasCorrection: boolean;
  rangeScaling: boolean;
  calibrate?: string;
  limit?: number;
  filterMod?: { modulus: number; remainder: number };
  seed: number;
  pixels: [number, number];
  mean: number[];
  std: number[];
  crop: number;
}

export const registerConvert: RegisterCommand = (program: Command, context) => {
  const command = program
    .command('convert')
    .description(
      'turn a TensorFlow.js model into a smaller one that loads where the old one loaded, or an ONNX model into a TensorFlow.js one',
    )
    .argument('<in>', 'model.json of a GraphModel or LayersModel, an ONNX file, or the folder of one')
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
    .option('--nhwc', 'of ONNX: pictures go in and come out as [batch, height, width, channels]')
    .option('--no-verify', 'do not compare the result with the original')
    .option('--no-bias-correction', 'leave biases as they are')
    .option('--no-range-scaling', 'leave channels before depthwise convolutions as they are')
    .option('--calibrate <dir>', 'unlabelled pictures like those the model is for: keeps more accuracy')
    .option('--limit <n>', 'calibrate on at most this many, spread evenly over the set', integer)
    .option(
      '--filter-mod <m=r>',
      'calibrate only on pictures whose number leaves remainder r when divided by m',
      remainder,
    )
    .option('--seed <n>', 'of what calibration and random inputs draw', integer, 1)
    .option('--pixels <low,high>', 'what pixel values 0 and 255 become for the model', range, [-1, 1])
    .option('--mean <n,…>', 'taken off after that, for all channels or for each', numbers, [0])
    .option('--std <n,…>', 'divided by after that, for all channels or for each', numbers, [1])
    .option('--crop <ratio>', 'part of the shorter side that is kept, the centre', ratio, 1)
    .action((input: string, options: Options) => convert(input, options, context));
  withCommonOptions(command, [
    'dsconv convert my-model/model.json -o my-model-8bit',
    "dsconv convert my-model -o my-model-4bit --bits 4 --block 32 --layer 'head/*=8'",
    'dsconv convert resnet50.onnx -o resnet50-8bit --nhwc',
    'dsconv convert trained-with-dsconv-layers/model.json -o frozen',
    'dsconv convert mobilenet/ -o mobilenet-4bit --bits 4 --block 32 --calibrate photos/ --limit 125 --crop 0.875',
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

function range(text: string): [number, number] {
  const [low, high, ...more] = numbers(text);
  if (high === undefined || more.length > 0)
    throw new MalformedArgument('Expected two numbers, such as 0,1.');
  return [low!, high];
}

function ratio(text: string): number {
  const [value, ...more] = numbers(text);
  if (more.length > 0 || !(value! >= 0.01 && value! <= 1)) {
    throw new MalformedArgument('Expected a number from 0.01 to 1, such as 0.875.');
  }
  return value!;
}

async function convert(input: string, options: Options, { io }: Context): Promise<void> {
  const { output, bits, block, firstBits, depthwiseBits, verify } = options;
  checkRange('--bits', bits, 2, 8);
  checkRange('--block', block, 1);
  checkRange('--limit', options.limit, 1);
  await useBackend(options, io);
  const { pixels, mean, std, crop } = options;
  const pictures =
    options.calibrate === undefined
      ? null
      : await openModelPictures(options.calibrate, options, { range: pixels, mean, std, crop });
  let progress: Progress | null = null;
  const label = pictures ? 'calibrate' : 'convert';
  const wanted: ConvertOptions = {
    bits,
    blockSize: block,
    firstBits,
    depthwiseBits,
    activationBits: options.activationBits === 'none' ? null : options.activationBits,
    layers: options.layer,
    inputShapes: options.inputShape,
    ...(options.nhwc ? { inputLayout: 'nhwc', outputLayout: 'nhwc' } : {}),
    verify,
    seed: options.seed,
    ...accuracy(options, pictures),
    onProgress({ done, total, layer: name }) {
      progress ??= createProgress(io, options.json === true, label, total);
      progress.update(done, name ?? '');
    },
  };
  // Makes layers that learn known to TensorFlow.js, so that a trained model can be frozen.
  await import('@dsconv/layers');
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

function accuracy(
  { biasCorrection, rangeScaling }: Options,
  pictures: ModelPictures | null,
): Pick<ConvertOptions, 'pictures' | 'biasCorrection' | 'rangeScaling'> {
  return {
    ...(pictures ? { pictures } : {}),
    ...(biasCorrection ? {} : { biasCorrection }),
    ...(rangeScaling ? {} : { rangeScaling }),
  };
}

function describe(report: ConversionReport, output: string): string {
  const { layers, left, kept, accuracy, verification, bytesBefore, bytesAfter, bitsPerWeight } = report;
  const { dropped = [], notes = [] } = report;
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
    table(['name', 'kind', 'shape', 'bits', 'before', 'after', 'SNR'], rows, [3, 4, 5, 6]),
    ...left.map(({ name, op, reason }) => `left     ${name} (${op}): ${reason}`),
    ...(dropped.length > 0 ? [`dropped  ${droppedOf(dropped)}`] : []),
    ...notes.map((note) => `note     ${note}`),
    `kept     ${others.join(', ') || 'nothing else'}`,
    fitted(accuracy, layers.length),
    ...(accuracy.scaledRanges > 0
      ? [`ranges   scaled before ${count(accuracy.scaledRanges, 'depthwise convolution')}`]
      : []),
    ...compared,
    `file     ${bytes(bytesBefore)} → ${bytes(bytesAfter)}, ${count(layers.length, 'convolution')} at ${bitsPerWeight.toFixed(3)} bits per weight`,
    `wrote ${output}`,
    '',
  ].join('\n');
}

/** Quantizations of activations by their operators: there may be hundreds of nodes. */
function droppedOf(dropped: readonly LeftNode[]): string {
  const ops = [...new Set(dropped.map(({ op }) => op))];
  return ops
    .map((op) => {
      const nodes = dropped.filter((node) => node.op === op);
      return `${nodes.length} ${op}: ${nodes[0]!.reason}`;
    })
    .join('; ');
}

function fitted({ pictures, rounded, correctedBiases, notCorrected }: AccuracyReport, all: number): string {
  if (pictures > 0) {
    const others = rounded.length > 0 ? `, but for ${rounded.join(', ')}` : '';
    return `fitted   on ${count(pictures, 'picture')}${others}`;
  }
  const why = notCorrected === null ? '' : `: ${notCorrected}`;
  return `biases   corrected in ${correctedBiases} of ${count(all, 'convolution')}${why}`;
}

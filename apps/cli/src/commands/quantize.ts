import { realpath } from 'node:fs/promises';
import {
  type AllocationReport,
  type CalibrateOptions,
  type CalibrationReport,
  calibrateNetwork,
  checkOutputPath,
  type LayerOptions,
  type QuantizationReport,
  quantizeNetwork,
  writeFileAtomic,
  writeNetworkFile,
} from '@dsconv/converter';
import type { Network } from '@dsconv/models';
import { Option } from 'commander';
import { useBackend } from '../backends.js';
import { openCalibrationPictures } from '../calibration.js';
import { type Context, printJson, type RegisterCommand } from '../context.js';
import { FileError } from '../errors.js';
import { bytes, decibels, percent, table } from '../format.js';
import { turn } from '../interruption.js';
import { openNetwork } from '../networks.js';
import {
  type CommonOptions,
  checkRange,
  integer,
  integerOrNone,
  remainder,
  withCommonOptions,
} from '../options.js';
import { createStages } from '../progress.js';
import { curveSvg } from '../report/curve-chart.js';
import { layerSetting, part, positive, type SizeTarget, sizeTarget, targetOf } from '../targets.js';

/** Sizes at which whole networks are made for a curve. */
const CURVE_POINTS = 5;

interface QuantizeOptions extends CommonOptions {
  output: string;
  bits: number;
  block: number;
  firstBits: number;
  depthwiseBits: number;
  activationBits: number | 'none';
  scales: 'f16' | 'f32';
  method: 'absmax' | 'search';
  architecture?: string;
  biasCorrection: boolean;
  rangeScaling: boolean;
  calibrate?: string;
  filterMod?: { modulus: number; remainder: number };
  limit?: number;
  seed: number;
  layer: Record<string, LayerOptions>;
  targetSize?: SizeTarget;
  targetBits?: number;
  maxDrop?: number;
  pareto?: string;
}

export const registerQuantize: RegisterCommand = (program, context) => {
  const command = program
    .command('quantize')
    .description('turn a float network into a small one with integer kernels')
    .argument('<in>', 'float network: model.json of TensorFlow.js, its folder, or safetensors')
    .requiredOption('-o, --output <file>', 'safetensors file to write')
    .option('--bits <n>', 'weight bits, 2 to 8', integer, 4)
    .option(
      '--target-size <size>',
      'choose bits by layer for a size, such as 10x smaller or 1.5MB',
      sizeTarget,
    )
    .option('--target-bits <n>', 'choose bits by layer for so many bits per weight, scales counted', positive)
    .option(
      '--max-drop <part>',
      'choose the smallest network that errs on at most so many pictures, such as 1%',
      part,
    )
    .option('--pareto <file>', 'with one of these: write sizes and losses to <file>.svg and <file>.json')
    .addOption(
      new Option(
        '--layer <pattern=bits>',
        'bits of some layers by name, * for anything, or bits/block; repeatable',
      )
        .argParser(layerSetting)
        .default({}, 'none'),
    )
    .option('--block <n>', 'weights along the depth that share a scale', integer, 64)
    .option('--first-bits <n>', 'weight bits of the first convolution', integer, 8)
    .option('--depthwise-bits <n>', 'weight bits of depthwise convolutions', integer, 8)
    .option('--activation-bits <n|none>', 'bits of activations, 2 to 8, or none for float', integerOrNone, 8)
    .addOption(
      new Option('--scales <format>', 'storage of the scales').choices(['f16', 'f32']).default('f16'),
    )
    .addOption(
      new Option('--method <name>', 'how scales are fitted without --calibrate')
        .choices(['absmax', 'search'])
        .default('search'),
    )
    .option('--no-bias-correction', 'leave biases as they are')
    .option('--no-range-scaling', 'leave channels before depthwise convolutions as they are')
    .option('--calibrate <dir>', 'unlabelled pictures like those the network is for: keeps more accuracy')
    .option('--limit <n>', 'calibrate on at most this many, spread evenly over the set', integer)
    .option(
      '--filter-mod <m=r>',
      'calibrate only on pictures whose number leaves remainder r when divided by m',
      remainder,
    )
    .option('--seed <n>', 'of what calibration draws at random', integer, 1)
    .option('--architecture <name>', 'such as resnet50, where the file does not tell')
    .action((input: string, options: QuantizeOptions) => quantize(input, options, context));
  withCommonOptions(command, [
    'dsconv quantize mobilenet/model.json -o mobilenet-8bit.safetensors --bits 8',
    'dsconv quantize resnet50.safetensors -o resnet50-4bit.safetensors --bits 4 --block 64',
    'dsconv quantize mobilenet/ -o mobilenet-4bit.safetensors --block 32 --calibrate photos/ --limit 125',
    "dsconv quantize resnet50.safetensors -o mixed.safetensors --target-size 10x --layer 'conv1=8' --layer 'layer4.*=3/64'",
    'dsconv quantize mobilenet/ -o mixed.safetensors --target-bits 2.9 --calibrate photos/ --pareto curve',
  ]);
};

async function quantize(input: string, options: QuantizeOptions, { io }: Context): Promise<void> {
  const { output, bits, block, firstBits, depthwiseBits, method } = options;
  const activationBits = options.activationBits === 'none' ? null : options.activationBits;
  checkRange('--bits', bits, 2, 8);
  checkRange('--first-bits', firstBits, 2, 8);
  checkRange('--depthwise-bits', depthwiseBits, 2, 8);
  checkRange('--activation-bits', activationBits ?? undefined, 2, 8);
  checkRange('--block', block, 1);
  const target = targetOf(options);
  const curve = options.pareto === undefined ? null : curvePaths(options.pareto);
  for (const path of [output, ...(curve ?? [])]) await checkOutputPath(path);
  await checkNotSame(input, output);
  checkRange('--limit', options.limit, 1);
  await useBackend(options, io);
  const network = await openNetwork(input, options.architecture);
  const pictures =
    options.calibrate === undefined
      ? null
      : await openCalibrationPictures(options.calibrate, options, network);
  const label = pictures ? 'calibrate' : 'quantize';
  const progress = createStages(io, options.json === true, label);
  const common: CalibrateOptions = {
    bits,
    blockSize: block,
    firstBits,
    depthwiseBits,
    activationBits,
    scales: options.scales === 'f16' ? 'float16' : 'float32',
    layers: options.layer,
    ...(options.rangeScaling ? {} : { rangeScaling: false }),
    ...(target ? { target, curvePoints: curve ? CURVE_POINTS : 0 } : {}),
    onProgress: progress.update,
  };
  let result: { network: Network; report: QuantizationReport | CalibrationReport };
  try {
    result = pictures
      ? await calibrateNetwork(network, pictures, { ...common, seed: options.seed })
      : await quantizeNetwork(network, {
          ...common,
          seed: options.seed,
          method,
          ...(options.biasCorrection ? {} : { biasCorrection: false }),
        });
  } finally {
    progress.finish();
  }
  await turn(io.signal);
  await writeNetworkFile(output, result.network);
  const { allocation } = result.report;
  if (curve && allocation) {
    await writeFileAtomic(curve[0], new TextEncoder().encode(curveSvg(allocation)));
    await writeFileAtomic(curve[1], new TextEncoder().encode(`${JSON.stringify(allocation, null, 1)}\n`));
  }
  if (options.json) printJson(io, { ...result.report, output });
  else io.stdout.write(describe(result.report, output));
}

/** Predicted loss, and the measured one where there is one. */
function describeChoice({ chosen, pictures }: AllocationReport): string {
  const by = pictures > 0 ? `${pictures} pictures` : 'noise in place of pictures';
  const measured =
    chosen.measuredLoss === null
      ? ''
      : `; measured ${chosen.measuredLoss.toPrecision(3)}, ${percent(chosen.agreement, 1)} of the classes as in float`;
  return `by ${by}: divergence from the float network predicted ${chosen.predictedLoss.toPrecision(3)} nats${measured}`;
}

/** The source must not be written over by what is made of it. */
async function checkNotSame(input: string, output: string): Promise<void> {
  const [from, to] = await Promise.all([input, output].map((path) => realpath(path).catch(() => null)));
  if (from !== null && from === to) {
    throw new FileError(`output path '${output}' is the input; expected another file`);
  }
}

/** `<name>.svg` and `<name>.json`, whichever of them was named. */
function curvePaths(path: string): [string, string] {
  const name = path.replace(/\.(svg|json)$/, '');
  return [`${name}.svg`, `${name}.json`];
}

function describe(report: QuantizationReport | CalibrationReport, output: string): string {
  const { bytesBefore, bytesAfter, kernelBytesBefore, kernelBytesAfter, bitsPerWeight } = report;
  const rows = report.layers.map((layer) => [
    layer.name,
    layer.kind,
    layer.shape.join('×'),
    `${layer.bits}`,
    layer.shifters.includes('kds') ? `${layer.blockSize}` : layer.bits === 32 ? '-' : 'channel',
    bytes(layer.bytesBefore),
    bytes(layer.bytesAfter),
    decibels(layer.snrDb ?? Infinity),
  ]);
  const change = (before: number, after: number): string =>
    `${bytes(before)} → ${bytes(after)}, ${(before / after).toFixed(2)} times smaller`;
  return [
    table(['layer', 'kind', 'shape', 'bits', 'block', 'before', 'after', 'SNR'], rows, [3, 4, 5, 6, 7]),
    `kernels  ${change(kernelBytesBefore, kernelBytesAfter)} (${bitsPerWeight.toFixed(3)} bits per weight)`,
    `file     ${change(bytesBefore, bytesAfter)}`,
    ...(report.allocation ? [`chosen   ${describeChoice(report.allocation)}`] : []),
    'pictures' in report
      ? `fitted   on ${report.pictures} pictures`
      : `biases   corrected in ${report.correctedBiases} of ${report.layers.length} layers`,
    `wrote ${output}`,
    '',
  ].join('\n');
}

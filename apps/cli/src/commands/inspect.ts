import {
  findReference,
  inspectNetwork,
  type LayerSummary,
  type NetworkSummary,
  signalToNoise,
  weightsOf,
} from '@dsconv/converter';
import { InvalidArgumentError } from '@dsconv/core';
import type { Network } from '@dsconv/models';
import { useBackend } from '../backends.js';
import { type Context, printJson, type RegisterCommand } from '../context.js';
import { UsageError } from '../errors.js';
import { bytes, decibels, table } from '../format.js';
import { inspectBoth } from '../inspect-both.js';
import { openNetwork } from '../networks.js';
import { type CommonOptions, integer, remainder, withCommonOptions } from '../options.js';

export interface InspectOptions extends CommonOptions {
  reference?: string;
  against?: string;
  pictures?: string;
  html?: string;
  pareto?: string;
  filterMod?: { modulus: number; remainder: number };
  limit: number;
  seed: number;
  architecture?: string;
}

export const registerInspect: RegisterCommand = (program, context) => {
  const command = program
    .command('inspect')
    .description('show what is in a network: layers, shapes, bits, blocks, bytes, scales')
    .argument('<file|id>', 'quantized file, float network, or id of a network of the zoo')
    .option('--reference <file|id>', 'float network to compute signal-to-noise ratios against')
    .option('--against <file|id>', 'float network to run beside it on --pictures: what each layer loses')
    .option('--pictures <dir>', 'unlabelled pictures for --against')
    .option('--limit <n>', 'run at most this many pictures, spread evenly over the set', integer, 32)
    .option(
      '--filter-mod <m=r>',
      'only pictures whose number leaves remainder r when divided by m',
      remainder,
    )
    .option('--seed <n>', 'of the choice of pictures where memory is short', integer, 1)
    .option('--html <file>', 'with --against: write a report with charts to look at')
    .option('--pareto <file>', 'a curve of quantize --pareto for the report, its .json')
    .option('--architecture <name>', 'such as resnet50, where the file does not tell')
    .action((file: string, options: InspectOptions) => inspect(file, options, context));
  withCommonOptions(command, [
    'dsconv inspect resnet20.fashion_mnist',
    'dsconv inspect mobilenet-8bit.safetensors --reference mobilenet/model.json --json',
    'dsconv inspect mobilenet-4bit.safetensors --against mobilenet/ --pictures photos/ --html report.html',
  ]);
};

async function inspect(file: string, options: InspectOptions, { io }: Context): Promise<void> {
  checkUsage(options);
  if (options.against !== undefined) return inspectBoth(file, options, options.against, io);
  // Reading needs no backend; one that was asked for must be there all the same.
  if (options.backend !== undefined || options.verbose) await useBackend(options, io);
  const network = await openNetwork(file, options.architecture, { io, silent: options.json === true });
  const summary = inspectNetwork(network);
  if (options.reference !== undefined) {
    // Finding out which form of the reference is meant takes a run of the network.
    if (network.isQuantized) await useBackend(options, io);
    const reference = await openNetwork(options.reference, options.architecture);
    summary.layers = withRatios(summary.layers, network, reference);
  }
  if (options.json) printJson(io, { file, ...summary });
  else io.stdout.write(describe(file, summary));
}

/** @throws UsageError for options that do nothing without others */
function checkUsage({ against, pictures, html, pareto, reference }: InspectOptions): void {
  if (against !== undefined && pictures === undefined) {
    throw new UsageError('--against runs both networks on pictures; expected --pictures <dir> with it');
  }
  if (against !== undefined && reference !== undefined) {
    throw new UsageError('--against and --reference are given; expected one of them');
  }
  for (const [name, value] of Object.entries({ pictures, html })) {
    if (value !== undefined && against === undefined) {
      throw new UsageError(`--${name} is given without --against; expected a float network to compare with`);
    }
  }
  if (pareto !== undefined && html === undefined) {
    throw new UsageError('--pareto is given without --html; expected a report to put the curve into');
  }
}

/** Signal-to-noise ratios against the reference instead of those that the file tells. */
function withRatios(layers: readonly LayerSummary[], network: Network, float: Network): LayerSummary[] {
  const reference = network.isQuantized && !float.isQuantized ? findReference(network, float) : float;
  const { name } = network.architecture;
  if (reference.architecture.name !== name) {
    throw new InvalidArgumentError(`the reference is a ${reference.architecture.name}; expected a ${name}`);
  }
  return layers.map((layer) => {
    const exact = weightsOf(reference, layer.name);
    const found = weightsOf(network, layer.name);
    if (exact.length !== found.length) {
      throw new InvalidArgumentError(
        `layer '${layer.name}' of the reference has ${exact.length} weights; expected ${found.length}`,
      );
    }
    return { ...layer, snrDb: signalToNoise(exact, found) };
  });
}

function describe(file: string, summary: NetworkSummary): string {
  const { architecture, inputSize, channels, classes, activationBits, quantized } = summary;
  const rows = summary.layers.map((layer) => [
    layer.name,
    layer.kind,
    layer.shape.join('×'),
    `${layer.bits}`,
    layer.blockSize === null ? '-' : layer.shifters.includes('kds') ? `${layer.blockSize}` : 'channel',
    bytes(layer.bytes),
    layer.scaleMin === null ? '-' : `${scale(layer.scaleMin)} … ${scale(layer.scaleMax!)}`,
    decibels(layer.snrDb),
  ]);
  const activations = !quantized || activationBits === null ? 'float' : `${activationBits}-bit`;
  return [
    `${file}: ${architecture}, ${inputSize}×${inputSize}×${channels} to ${classes} classes, ${activations} activations`,
    ...(summary.source === null ? [] : [`made from ${summary.source}`]),
    '',
    table(['layer', 'kind', 'shape', 'bits', 'block', 'bytes', 'scales', 'SNR'], rows, [3, 4, 5, 7]),
    `${bytes(summary.bytes)}, of which kernels ${bytes(summary.kernelBytes)}: ${summary.bitsPerWeight.toFixed(3)} bits per weight`,
    '',
  ].join('\n');
}

function scale(value: number): string {
  return value === 0 ? '0' : value.toExponential(1);
}

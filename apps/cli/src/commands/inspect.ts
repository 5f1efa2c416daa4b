import { inspectNetwork, type LayerSummary, type NetworkSummary, signalToNoise } from '@dsconv/converter';
import { DSConvFilter, InvalidArgumentError } from '@dsconv/core';
import type { Network } from '@dsconv/models';
import { useBackend } from '../backends.js';
import { type Context, printJson, type RegisterCommand } from '../context.js';
import { bytes, decibels, table } from '../format.js';
import { openNetwork } from '../networks.js';
import { type CommonOptions, withCommonOptions } from '../options.js';

interface InspectOptions extends CommonOptions {
  reference?: string;
  architecture?: string;
}

export const registerInspect: RegisterCommand = (program, context) => {
  const command = program
    .command('inspect')
    .description('show what is in a network: layers, shapes, bits, blocks, bytes, scales')
    .argument('<file|id>', 'quantized file, float network, or id of a network of the zoo')
    .option('--reference <file|id>', 'float network to compute signal-to-noise ratios against')
    .option('--architecture <name>', 'such as resnet50, where the file does not tell')
    .action((file: string, options: InspectOptions) => inspect(file, options, context));
  withCommonOptions(command, [
    'dsconv inspect resnet20.fashion_mnist',
    'dsconv inspect mobilenet-8bit.safetensors --reference mobilenet/model.json --json',
  ]);
};

async function inspect(file: string, options: InspectOptions, { io }: Context): Promise<void> {
  // Reading needs no backend; one that was asked for must be there all the same.
  if (options.backend !== undefined || options.verbose) await useBackend(options, io);
  const network = await openNetwork(file, options.architecture, { io, silent: options.json === true });
  const summary = inspectNetwork(network);
  if (options.reference !== undefined) {
    const reference = await openNetwork(options.reference, options.architecture);
    summary.layers = withRatios(summary.layers, network, reference);
  }
  if (options.json) printJson(io, { file, ...summary });
  else io.stdout.write(describe(file, summary));
}

/** Signal-to-noise ratios against the reference instead of those that the file tells. */
function withRatios(layers: readonly LayerSummary[], network: Network, reference: Network): LayerSummary[] {
  const { name } = network.architecture;
  if (reference.architecture.name !== name) {
    throw new InvalidArgumentError(`the reference is a ${reference.architecture.name}; expected a ${name}`);
  }
  return layers.map((layer) => {
    const exact = floatWeights(reference, layer.name);
    const found = floatWeights(network, layer.name);
    if (exact.length !== found.length) {
      throw new InvalidArgumentError(
        `layer '${layer.name}' of the reference has ${exact.length} weights; expected ${found.length}`,
      );
    }
    return { ...layer, snrDb: signalToNoise(exact, found) };
  });
}

function floatWeights(network: Network, layer: string): Float32Array {
  const { filter } = network.weights.get(layer)!;
  return filter instanceof DSConvFilter ? filter.dequantize() : filter;
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

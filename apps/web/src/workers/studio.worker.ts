/** Quantizes networks while someone moves a slider, counts what it costs, and looks inside. */
import '@dsconv/backend-cpu';
import {
  findReference,
  inspectNetwork,
  quantizeNetwork,
  signalToNoise,
  weightsOf,
} from '@dsconv/converter/in-memory';
import { DSConvError, DSConvFilter, selectBackend } from '@dsconv/core';
import { findModel, type Network, networkFileLength, writeNetwork } from '@dsconv/models';
import { type Form, type NetworkInfo, type Quantized, type StudioApi, UNSAID } from './api.js';
import { moving, serve, type Tell } from './channel.js';
import { SampleSet } from './evaluate.js';
import { viewLayer } from './layer-view.js';
import { type Opened, openNetwork, SupersededError } from './open-network.js';

let opened: Opened | null = null;
let quantized: Network | null = null;
/** The float weights that the quantized ones stand for: channels before depthwise convolutions may be scaled. */
let reference: Network | null = null;
const samples = new SampleSet();
/** Counted up by every call that makes the work of the ones before useless. */
let generation = 0;

serve<StudioApi>({
  open: async (request, tell) => {
    const mine = ++generation;
    const next = await openNetwork(request, tell);
    stopIfOld(mine);
    close();
    opened = next;
    samples.reset();
    return describe(next);
  },
  floatFile: async () => {
    const file = writeNetwork(current().float) as Uint8Array<ArrayBuffer>;
    return moving(file, [file.buffer]);
  },
  quantize: async (wish, tell) => {
    const mine = ++generation;
    const { float, files } = current();
    const stored = wish.kind === 'file' ? files[wish.index] : undefined;
    const next = stored ?? (await quantize(float, wish.kind === 'round' ? wish : UNSAID, mine, tell));
    stopIfOld(mine);
    if (quantized && !files.includes(quantized)) quantized.dispose();
    quantized = next;
    reference = null;
    return report(next);
  },
  evaluate: async (pictures) => {
    const mine = generation;
    const network = made();
    return samples.evaluate(network, current().float, pictures, () => {
      stopIfOld(mine);
    });
  },
  layer: async (name) => {
    const network = made();
    reference ??= await referenceOf(network, current().float);
    const view = viewLayer(network, reference, name);
    const grids = [view.errors, ...(view.scales ? [view.scales] : [])];
    return moving(view, [view.exact.buffer, view.found.buffer, ...grids.map(({ pixels }) => pixels.buffer)]);
  },
});

async function quantize(
  float: Network,
  { bits, blockSize }: Form,
  mine: number,
  tell: Tell,
): Promise<Network> {
  // Biases are corrected where the current backend has DSConv kernels.
  await selectBackend(['dsconv-cpu']);
  const { network } = await quantizeNetwork(float, {
    bits,
    blockSize,
    onProgress: ({ done, total, layer }) => {
      stopIfOld(mine);
      tell({ task: layer === null ? 'Quantized' : `Quantizing ${layer}`, done, total });
    },
  });
  return network;
}

async function referenceOf(network: Network, float: Network): Promise<Network> {
  if (!network.architecture.layers.some(({ kind }) => kind === 'depthwise')) return float;
  await selectBackend(['dsconv-cpu']);
  return findReference(network, float);
}

function stopIfOld(mine: number): void {
  if (mine !== generation) throw new SupersededError();
}

function close(): void {
  if (quantized && !opened?.files.includes(quantized)) quantized.dispose();
  quantized = null;
  reference = null;
  for (const file of opened?.files ?? []) file.dispose();
  opened?.float.dispose();
  opened = null;
}

function current(): Opened {
  if (opened) return opened;
  throw new DSConvError('NOT_READY', 'no network is open yet; expected one');
}

function made(): Network {
  if (quantized) return quantized;
  throw new DSConvError('NOT_READY', 'nothing is quantized yet; expected a network');
}

function describe({ files, float, floatOrigin, bytesFetched }: Opened): NetworkInfo {
  const { architecture, preprocessing, labels } = float;
  const { name, channels, inputSize: size, classes } = architecture;
  const dataset = findModel({ name, channels, classes, inputSize: size })?.dataset ?? null;
  return {
    name,
    dataset,
    labels,
    channels: preprocessing.channels,
    size: preprocessing.size,
    floatOrigin,
    bytesFetched,
    floatBytes: networkFileLength(float),
    files: files.map((file) => ({ ...formOf(file), bytes: networkFileLength(file) })),
  };
}

/** Bits and block size of the layer with the most weights, which stand for the network. */
function formOf(network: Network): Form {
  let [most, form] = [0, { bits: 8, blockSize: 64 }];
  for (const { filter } of network.weights.values()) {
    if (!(filter instanceof DSConvFilter) || filter.size <= most) continue;
    most = filter.size;
    form = { bits: filter.bits, blockSize: filter.blockSize };
  }
  return form;
}

function report(network: Network): Quantized {
  const { layers, bitsPerWeight } = inspectNetwork(network);
  const file = writeNetwork(network) as Uint8Array<ArrayBuffer>;
  const rows = layers.map(({ name, kind, shape, weights, bits, blockSize, bytes, snrDb, shifters }) => {
    const block = shifters.includes('kds') ? blockSize : null;
    return {
      name,
      kind,
      shape,
      weights,
      bits,
      blockSize: block,
      bytes,
      snrDb: ratioOf(network, name, snrDb),
    };
  });
  return moving({ form: formOf(network), bytes: file.length, bitsPerWeight, layers: rows, file }, [
    file.buffer,
  ]);
}

/** A file was rounded or retrained elsewhere: where its float weights are here, it is held against them, else its own word counts. */
function ratioOf(network: Network, layer: string, stated: number | null): number | null {
  const { files, float, floatOrigin } = current();
  if (floatOrigin === 'dequantized' || !files.includes(network)) return stated;
  return signalToNoise(weightsOf(float, layer), weightsOf(network, layer));
}

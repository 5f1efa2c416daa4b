/** What a layer is measured on: tiers of DSConv backends, and float32 peers. */
import {
  DSConvFilter,
  dsconv2d,
  dsDepthwiseConv2d,
  getDSConvBackend,
  InvalidArgumentError,
  type StoredScales,
  toFloat16Bits,
} from '@dsconv/core';
import {
  fused,
  setBackend,
  type Tensor,
  type Tensor4D,
  tensor1d,
  tensor4d,
  tidy,
} from '@tensorflow/tfjs-core';
import { MissingPackageError, oneLine } from '../errors.js';
import { type BenchLayer, outputChannels, product, randomArray, randomNumbers } from './layer.js';

/** As the quantizer does it: below this depth a filter has one scale per channel. */
const PER_CHANNEL_BELOW = 16;

export interface Engine {
  /** Backend or peer. */
  name: string;
  /** Null for peers. */
  tier: string | null;
  /** TensorFlow.js backend to make current before `prepare` and `run`. */
  backend: string;
  /** Makes the layer's tensors on the current backend. */
  prepare(layer: BenchLayer): PreparedLayer;
}

export interface PreparedLayer {
  /** Computes the layer once and frees the result; the work is done when it returns. */
  run(): void;
  dispose(): void;
}

/** One engine per available tier of a backend. */
export async function tierEngines(name: string, tiers: readonly string[]): Promise<Engine[]> {
  const backend = getDSConvBackend(name)!;
  const engines: Engine[] = [];
  for (const tier of tiers) {
    const pinned = backend.pinTier ? backend.pinTier(tier) : name;
    engines.push({ name, tier, backend: pinned, prepare: prepareQuantized });
  }
  return engines;
}

const PEERS: Record<string, () => Promise<Engine>> = { 'tfjs-wasm': wasmPeer };

/** @throws InvalidArgumentError for a peer that is not known, MissingPackageError when its package is not installed */
export async function peerEngine(name: string): Promise<Engine> {
  const create = PEERS[name];
  if (!create) {
    throw new InvalidArgumentError(`peer is '${name}'; expected one of ${Object.keys(PEERS).join(', ')}`);
  }
  return create();
}

/** `@tensorflow/tfjs-backend-wasm` (XNNPACK, float32) on one thread. */
async function wasmPeer(): Promise<Engine> {
  const packageName = '@tensorflow/tfjs-backend-wasm';
  const peer = await import(packageName).catch((error: unknown) => {
    const why = error instanceof Error ? oneLine(error.message) : String(error);
    throw new MissingPackageError(
      `peer tfjs-wasm needs the package ${packageName}, which can be installed by 'npm install ${packageName}@4.22.0' (${why})`,
    );
  });
  // Before the backend is created: afterwards it has no effect.
  peer.setThreadsCount(1);
  if (!(await setBackend('wasm'))) {
    throw new MissingPackageError(`peer tfjs-wasm: TensorFlow.js could not create its backend 'wasm'`);
  }
  return { name: 'tfjs-wasm', tier: null, backend: 'wasm', prepare: prepareFloat };
}

function prepareFloat(layer: BenchLayer): PreparedLayer {
  const { strides, pad, activation } = layer;
  const x = inputTensor(layer);
  const filter = tensor4d(randomArray(product(layer.filter), 2, -0.1, 0.1), [...layer.filter]);
  const bias = biasTensor(layer);
  const operator = layer.depthwise ? fused.depthwiseConv2d : fused.conv2d;
  // The declared type of depthwise padding leaves out the explicit form that the implementation takes.
  const tfPad = (typeof pad === 'object' ? [[0, 0], [...pad[0]], [...pad[1]], [0, 0]] : pad) as 'same';
  return prepared([x, filter, bias], () => operator({ x, filter, strides, pad: tfPad, bias, activation }));
}

function prepareQuantized(layer: BenchLayer): PreparedLayer {
  const { strides, pad, activation } = layer;
  const x = inputTensor(layer);
  const bias = biasTensor(layer);
  const filter = randomFilter(layer);
  const operator = layer.depthwise ? dsDepthwiseConv2d : dsconv2d;
  const ready = prepared([x, bias], () => operator(x, filter, strides, pad, { bias, activation }));
  return {
    run: ready.run,
    dispose() {
      ready.dispose();
      filter.dispose();
    },
  };
}

function prepared(tensors: readonly Tensor[], compute: () => Tensor): PreparedLayer {
  return {
    run: () => tidy(() => void compute()),
    dispose: () => {
      for (const tensor of tensors) tensor.dispose();
    },
  };
}

/** Activations behind a ReLU: positive, a part of them zero. */
function inputTensor({ input }: BenchLayer): Tensor4D {
  const values = randomArray(product(input), 1, -0.5, 1).map((value) => Math.max(0, value));
  return tensor4d(values, [1, ...input]);
}

function biasTensor(layer: BenchLayer) {
  return tensor1d(randomArray(outputChannels(layer), 3, -0.5, 0.5));
}

/** A filter of random integers: how weights are quantized does not change how long they take to run. */
function randomFilter(layer: BenchLayer): DSConvFilter {
  const { bits, blockSize, depthwise, filter: shape } = layer;
  const next = randomNumbers(4);
  const q = Int8Array.from({ length: product(shape) }, () => Math.floor((next() - 0.5) * 2 ** bits));
  const scales = (length: number): StoredScales => ({
    format: 'float16',
    data: Uint16Array.from({ length }, () => toFloat16Bits((0.5 + next()) * 2 ** (-bits - 3))),
  });
  const perChannel = depthwise || shape[2] < PER_CHANNEL_BELOW;
  const shifters = perChannel
    ? { cds: scales(outputChannels(layer)) }
    : { kds: scales(shape[0] * shape[1] * Math.ceil(shape[2] / blockSize) * shape[3]) };
  return DSConvFilter.fromIntegers(
    { kind: depthwise ? 'depthwise' : 'conv2d', shape, bits, blockSize, ...shifters },
    q,
  );
}

import {
  activate,
  CONTRACT_VERSION,
  DS_DEPTHWISE_CONV2D,
  DSCONV2D,
  type DSConvAttributes,
  quantizeBfp,
  registerDSConvBackend,
  roundToBfp,
  runSelfTest,
} from '@dsconv/core';
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';

/** Any TensorFlow.js backend will do; this one keeps tensors as typed arrays and inherits every stock kernel. */
class TinyBackend extends MathBackendCPU {}

interface KernelArguments {
  inputs: tf.NamedTensorInfoMap;
  backend: TinyBackend;
  attrs: DSConvAttributes;
}

/** One kernel for both names: a depthwise filter is a convolution whose blocks hold one channel. */
function kernelFunc({ inputs, backend, attrs }: KernelArguments): tf.TensorInfo {
  const { filter, geometry: g, activationBits, outputFormat } = attrs;
  const values = (name: string) => inputs[name] && (backend.readSync(inputs[name].dataId) as Float32Array);
  const [x, bias, residual, slopes] = ['x', 'bias', 'residual', 'preluActivationWeights'].map(values);
  const multiply = activationBits === null ? floatProduct(x!, attrs) : integerProduct(x!, attrs);
  let y = new Float32Array(g.batch * g.outHeight * g.outWidth * g.outChannels);
  for (let at = 0; at < y.length; at++) {
    const o = at % g.outChannels;
    const ow = Math.floor(at / g.outChannels) % g.outWidth;
    const oh = Math.floor(at / g.outChannels / g.outWidth) % g.outHeight;
    const n = Math.floor(at / g.outChannels / g.outWidth / g.outHeight);
    let sum = (bias ? bias[o]! : 0) + (residual ? residual[at]! : 0);
    for (let tap = 0; tap < g.kernelHeight * g.kernelWidth; tap++) {
      const ih = oh * g.strideHeight - g.padTop + Math.floor(tap / g.kernelWidth) * g.dilationHeight;
      const iw = ow * g.strideWidth - g.padLeft + (tap % g.kernelWidth) * g.dilationWidth;
      // Padding adds nothing, the bias terms of the shifters included.
      if (ih < 0 || ih >= g.inHeight || iw < 0 || iw >= g.inWidth) continue;
      sum += multiply((n * g.inHeight + ih) * g.inWidth + iw, tap, o);
    }
    y[at] = activate(sum, attrs.activation, slopes ? slopes[o]! : attrs.leakyreluAlpha);
  }
  if (outputFormat) y = new Float32Array(roundToBfp(y, g.outChannels, outputFormat));
  return backend.makeTensorInfo([g.batch, g.outHeight, g.outWidth, filter.outChannels], 'float32', y);
}

/** What one input pixel and one tap add to output channel `o`. */
type Product = (pixel: number, tap: number, o: number) => number;

/** First input channel and number of channels that output channel `o` reads. */
function depthOf({ filter, geometry: g }: DSConvAttributes): { depth: number; first: (o: number) => number } {
  if (filter.kind === 'depthwise') return { depth: 1, first: (o) => Math.floor(o / filter.shape[3]) };
  const depth = filter.shape[2];
  return { depth, first: (o) => Math.floor(o / (g.outChannels / g.groups)) * depth };
}

/** NUMERICS §4: integers within a block, floats between blocks. */
function integerProduct(x: Float32Array, attrs: DSConvAttributes): Product {
  const { filter, geometry: g } = attrs;
  const { blockSize, outChannels: outputs, blocks } = filter;
  const groups = filter.kind === 'depthwise' ? 1 : g.groups;
  const format = { bits: attrs.activationBits!, blockSize, groups };
  const { mantissa, scale, blocksPerGroup } = quantizeBfp(x, g.inChannels, format);
  const { depth, first } = depthOf(attrs);
  const q = filter.unpack();
  const shifters = (['kds', 'kdsBias', 'cds', 'cdsBias'] as const).map((name) => filter.scales(name));
  const [kds, kdsBias, cds, cdsBias] = shifters;
  return (pixel, tap, o) => {
    let sum = 0;
    for (let start = 0; start < depth; start += blockSize) {
      let product = 0;
      let total = 0;
      for (let i = start; i < Math.min(start + blockSize, depth); i++) {
        const m = mantissa[pixel * g.inChannels + first(o) + i]!;
        product += q[(tap * depth + i) * outputs + o]! * m;
        total += m;
      }
      const channel = first(o) + start;
      const group = Math.floor(channel / (g.inChannels / groups));
      const block = Math.floor((channel % (g.inChannels / groups)) / blockSize);
      const blockScale = scale[(pixel * groups + group) * blocksPerGroup + block]!;
      const s = (tap * blocks + start / blockSize) * outputs + o;
      const c = cds ? cds[o]! : 1;
      const shift = (kdsBias ? c * kdsBias[s]! : 0) + (cdsBias ? cdsBias[o]! : 0);
      sum += blockScale * (c * (kds ? kds[s]! : 1) * product + shift * total);
    }
    return sum;
  };
}

/** Weight-only quantization: a float convolution with ŵ. */
function floatProduct(x: Float32Array, attrs: DSConvAttributes): Product {
  const { filter, geometry: g } = attrs;
  const { depth, first } = depthOf(attrs);
  const weights = filter.dequantize();
  return (pixel, tap, o) => {
    let sum = 0;
    for (let i = 0; i < depth; i++) {
      sum += x[pixel * g.inChannels + first(o) + i]! * weights[(tap * depth + i) * filter.outChannels + o]!;
    }
    return sum;
  };
}

export const TINY_BACKEND = 'dsconv-tiny';

/** Three registrations: the TensorFlow.js backend, its kernels, and its description for core. */
export function registerTinyBackend(): void {
  tf.registerBackend(TINY_BACKEND, async () => {
    const backend = new TinyBackend();
    await runSelfTest(TINY_BACKEND, backend, (name) => tf.getKernel(name, TINY_BACKEND).kernelFunc);
    return backend;
  });
  tf.copyRegisteredKernels('cpu', TINY_BACKEND);
  for (const kernelName of [DSCONV2D, DS_DEPTHWISE_CONV2D]) {
    tf.registerKernel({
      kernelName,
      backendName: TINY_BACKEND,
      kernelFunc: kernelFunc as unknown as tf.KernelFunc,
    });
  }
  registerDSConvBackend({
    name: TINY_BACKEND,
    contractVersion: CONTRACT_VERSION,
    supports: () => true,
    probe: async () => true,
    tiers: async () => [{ tier: 'js', available: true }],
    activeTier: () => 'js',
  });
}

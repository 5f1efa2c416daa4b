/** Running a network on decoded pictures, and reading its probabilities. */
import { type Network, preprocess, type RawImage } from '@dsconv/models';
import { type Rank, tensor4d, zeros } from '@tensorflow/tfjs-core';

export interface Prediction {
  /** Probabilities of one picture, one per class. */
  probabilities: Float32Array[];
  /** Time of the network alone, without decoding and resizing. */
  milliseconds: number;
}

/** Pictures to what the network reads, `[N, size, size, channels]`. */
export function preprocessBatch(network: Network, images: readonly RawImage[]): Float32Array {
  const { size, channels } = network.preprocessing;
  const length = size * size * channels;
  const batch = new Float32Array(images.length * length);
  for (const [n, image] of images.entries()) batch.set(preprocess(image, network.preprocessing), n * length);
  return batch;
}

/** Runs the network on a batch on the current backend. */
export function predict(network: Network, images: readonly RawImage[]): Prediction {
  const { size, channels } = network.preprocessing;
  const input = preprocessBatch(network, images);
  const start = performance.now();
  const x = tensor4d(input, [images.length, size, size, channels]);
  const y = network.predict(x);
  const values = y.dataSync<'float32'>();
  const milliseconds = performance.now() - start;
  const classes = y.shape[1];
  x.dispose();
  y.dispose();
  const probabilities = images.map((_, n) => values.slice(n * classes, (n + 1) * classes) as Float32Array);
  return { probabilities, milliseconds };
}

/** Logits of one picture on the current backend. */
export function logits(network: Network, image: RawImage): Float32Array {
  const { size, channels } = network.preprocessing;
  const x = tensor4d(preprocessBatch(network, [image]), [1, size, size, channels]);
  const y = network.logits(x);
  const values = y.dataSync<'float32'>();
  x.dispose();
  y.dispose();
  return values;
}

/** Makes the network's tensors and lets the backend pack its filters, so that the first picture is timed like the others. */
export function warmUpNetwork(network: Network): void {
  const { size, channels } = network.preprocessing;
  const x = zeros<Rank.R4>([1, size, size, channels]);
  const y = network.predict(x);
  y.dataSync();
  x.dispose();
  y.dispose();
}

/** Indices of the `most` largest values, largest first; of equal ones the first. NaN is below everything. */
export function largest(values: Float32Array, most: number): number[] {
  const rank = (index: number): number => (Number.isNaN(values[index]!) ? -Infinity : values[index]!);
  return Array.from(values.keys())
    .sort((a, b) => rank(b) - rank(a) || a - b)
    .slice(0, most);
}

/** The class with the largest probability, or -1 where the network computed NaN. */
export function topClass(values: Float32Array): number {
  const first = largest(values, 1)[0];
  return first === undefined || Number.isNaN(values[first]!) ? -1 : first;
}

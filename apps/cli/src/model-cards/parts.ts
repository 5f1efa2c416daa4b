/** What both forms of a model card say. */
import type { Accuracy, ModelCard, Preprocessing } from '@dsconv/models';
import { percent } from '../format.js';

/** `11689512` → `11.69 M`. */
export const millions = (count: number): string => `${(count / 1e6).toFixed(2)} M`;

const grouped = (count: number): string => count.toLocaleString('en-US');

export function parametersOf({ parameters: { trainable, statistics } }: ModelCard): string {
  const more = statistics > 0 ? `, and ${grouped(statistics)} means and variances` : '';
  return `${grouped(trainable)}${more}`;
}

/** Where the weights come from, in a word or two. */
export function weightsOf({ address, source }: ModelCard): string {
  if (address === null) return source.startsWith('trained') ? 'in the package' : 'a file of your own';
  return new URL(address).hostname;
}

/** Top-1 of the float network, or of whatever was measured first. */
export function topOne({ accuracy }: ModelCard): string {
  const first = accuracy.find(({ weights }) => weights === 'float32') ?? accuracy[0];
  return first ? percent(first.top1, 1) : 'not measured';
}

/** Bits, bytes, bits per weight. */
export function storedRows({ stored }: ModelCard): string[][] {
  return stored.map(({ bits, blockSize, bytes, bitsPerWeight }) => [
    blockSize === null ? 'float32' : `${bits} bits, blocks of ${blockSize}`,
    grouped(bytes),
    bitsPerWeight.toFixed(3),
  ]);
}

/** Weights, top-1, agreement. */
export function accuracyRow({ weights, top1, agreement }: Accuracy): string[] {
  return [weights, percent(top1), percent(agreement)];
}

/** What accuracies were measured on and by, each once. */
export function accuracySources(
  rows: readonly Accuracy[],
): Pick<Accuracy, 'pictures' | 'data' | 'command'>[] {
  const sources = new Map(rows.map((row) => [`${row.pictures} ${row.data} ${row.command}`, row]));
  return [...sources.values()];
}

/** One sentence's worth on what happens to a picture. */
export function preprocessingOf(spec: Preprocessing): string {
  const { size, channels, channelOrder = 'rgb', resize, interpolation, antialias, range, mean, std } = spec;
  const side = Math.floor(size / resize.cropRatio);
  const scaled =
    resize.mode === 'exact'
      ? `stretched to ${side}×${side}`
      : `shorter side to ${side}, centre ${size}×${size}`;
  const order = channels === 1 ? 'grey' : channelOrder.toUpperCase();
  return `${scaled}, ${interpolation}${antialias ? ' with antialiasing' : ''}, ${order}, ${range[0]} to ${range[1]}, mean ${mean.join(' ')}, deviation ${std.join(' ')}`;
}

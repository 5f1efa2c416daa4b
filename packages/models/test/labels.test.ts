import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { getModel } from '../src/index.js';
import { dataMissing, dataPath } from './support/shared-data.js';

const { labels } = getModel('resnet50.tv_in1k');

describe("ImageNet's labels", () => {
  it('stand in the order of the classes', () => {
    expect(labels).toHaveLength(1000);
    const known: [number, string][] = [
      [0, 'tench'],
      [207, 'golden retriever'],
      [281, 'tabby'],
      [291, 'lion'],
      [504, 'coffee mug'],
      [817, 'sports car'],
      [999, 'toilet tissue'],
    ];
    for (const [index, label] of known) expect(labels[index]).toBe(label);
    // Two names stand for two classes each: the bird and the machine, the tights and the bathing suit.
    expect(labels.flatMap((label, n) => (labels.indexOf(label) === n ? [] : [label]))).toEqual([
      'crane',
      'maillot',
    ]);
  });

  it.skipIf(dataMissing('imagenet-labels.json'))('are those of the measuring data (needs it)', () => {
    const expected: string[] = JSON.parse(readFileSync(dataPath('imagenet-labels.json'), 'utf8'));
    expect(labels).toEqual(expected.map((names) => names.split(',')[0]));
  });

  it('of CIFAR-10 and Fashion-MNIST are theirs', () => {
    expect(getModel('resnet20.cifar10').labels).toEqual(
      'airplane automobile bird cat deer dog frog horse ship truck'.split(' '),
    );
    expect(getModel('resnet20.fashion_mnist').labels[9]).toBe('Ankle boot');
  });
});

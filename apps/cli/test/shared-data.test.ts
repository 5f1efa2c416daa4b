/** The whole path on a real network and real photographs, where they are present. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { dsconv, temporaryFolder } from './support.js';

const data = process.env.DSCONV_DATA ?? resolve(import.meta.dirname, '../../../../shared/data');
const folder = temporaryFolder();

describe('MobileNet on photographs', () => {
  beforeEach((context) => context.skip(!existsSync(data), `no data: ${data} does not exist (DSCONV_DATA)`));

  it('quantizes, classifies and agrees with the float network', async () => {
    const float = join(data, 'mobilenet-v1-0.75-224');
    const model = join(folder, 'mobilenet.safetensors');
    const quantized = await dsconv(
      'quantize',
      float,
      '-o',
      model,
      '--bits',
      '8',
      '--method',
      'absmax',
      '--json',
    );
    expect(quantized.err).toBe('');
    const classified = await dsconv(
      ...['classify', join(data, 'imagenet-photos/0000.jpg'), '--model', model, '--json'],
    );
    expect(classified.json()).toMatchObject({
      results: [{ top: [{ index: 0, label: 'tench' }, {}, {}, {}, {}] }],
    });
    const evaluated = await dsconv(
      ...['eval', join(data, 'imagenet-photos'), '--model', model, '--reference', float],
      ...['--filter-mod', '4=0', '--limit', '24', '--json'],
    );
    const { images, top1, agreement } = evaluated.json<Record<string, number>>();
    expect(images).toBe(24);
    expect(top1).toBeGreaterThan(0.6);
    expect(agreement).toBeGreaterThan(0.75);
  });

  it('evaluates a CIFAR ResNet on binary records', async () => {
    const run = await dsconv(
      ...['eval', join(data, 'cifar10-test.bin'), '--model', join(data, 'cifar-resnet20.safetensors')],
      ...['--limit', '200', '--json'],
    );
    expect(run.json<Record<string, number>>().top1).toBeGreaterThan(0.7);
  });
});

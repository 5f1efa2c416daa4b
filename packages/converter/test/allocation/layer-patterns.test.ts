import { InvalidArgumentError } from '@dsconv/core';
import { describe, expect, it } from 'vitest';
import { resolveLayers } from '../../src/allocation/layer-patterns.js';

const names = ['conv1', 'layer1.0.conv1', 'layer1.0.conv2', 'layer2.0.conv1', 'layer10.0.conv1'];

describe('settings of layers by patterns', () => {
  it('adds up what several patterns say of a layer, the last one on top', () => {
    const resolved = resolveLayers(
      { '*': { bits: 4 }, 'layer1.*': { bits: 3, blockSize: 32 }, 'layer1.0.conv2': { bits: 6 } },
      names,
      'net',
    );
    expect(Object.fromEntries(resolved)).toEqual({
      conv1: { bits: 4 },
      'layer1.0.conv1': { bits: 3, blockSize: 32 },
      'layer1.0.conv2': { bits: 6, blockSize: 32 },
      'layer2.0.conv1': { bits: 4 },
      'layer10.0.conv1': { bits: 4 },
    });
  });

  it('takes everything but * literally, and whole names', () => {
    const found = (pattern: string): string[] => [...resolveLayers({ [pattern]: {} }, names, 'net').keys()];
    expect(found('conv1')).toEqual(['conv1']);
    expect(found('*.conv1')).toEqual(['layer1.0.conv1', 'layer2.0.conv1', 'layer10.0.conv1']);
    expect(found('layer?.*.conv*'.replace('?', '1'))).toEqual(['layer1.0.conv1', 'layer1.0.conv2']);
    for (const pattern of ['layer1.0.conv', 'layer1?0.conv1', 'layer[12].*', 'LAYER1.*', '']) {
      expect(() => found(pattern)).toThrow(InvalidArgumentError);
    }
  });

  it('names what comes nearest to a pattern that fits nothing', () => {
    expect(() => resolveLayers({ 'layer1.0.conv3': { bits: 4 } }, names, 'net')).toThrow(
      /layers has 'layer1\.0\.conv3', which net has not; expected names such as layer1\.0\.conv1/,
    );
  });
});

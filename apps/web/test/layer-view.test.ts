import { quantizeNetwork } from '@dsconv/converter/in-memory';
import { colour, scaleColour, scaleRange } from '@dsconv/converter/report';
import { type DSConvFilter, InvalidArgumentError } from '@dsconv/core';
import { createArchitecture, loadModel, Network, randomParameters } from '@dsconv/models';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Grid } from '../src/workers/api.js';
import { dequantized } from '../src/workers/dequantized.js';
import { viewLayer } from '../src/workers/layer-view.js';

let float: Network;
let quantized: Network;

beforeAll(async () => {
  float = dequantized(await loadModel('resnet20.fashion_mnist'));
  quantized = (await quantizeNetwork(float, { bits: 2, blockSize: 8, method: 'absmax' })).network;
});

const filterOf = (name: string): DSConvFilter => quantized.weights.get(name)!.filter as DSConvFilter;

function pixel({ pixels, columns }: Grid, row: number, column: number): number[] {
  return [...pixels.subarray(4 * (row * columns + column), 4 * (row * columns + column) + 4)];
}

/** Some cells of a grid, its corners among them. */
function cells({ rows, columns }: Grid): [row: number, column: number][] {
  const of = (count: number): number[] => [0, Math.floor(count / 3), count - 1];
  return of(rows).flatMap((row) => of(columns).map((column): [number, number] => [row, column]));
}

describe('the view of a layer', () => {
  it('shows each weight’s error: output channels downwards, taps and inputs to the right', () => {
    const view = viewLayer(quantized, float, 'layer2.0.conv2');
    const { errors, exact, found } = view;
    expect([errors.rows, errors.columns]).toEqual([32, 9 * 32]);
    expect(exact).toEqual(float.weights.get('layer2.0.conv2')!.filter);
    expect(found).toEqual(filterOf('layer2.0.conv2').dequantize());
    expect(errors.high).toBeGreaterThan(0);
    for (const [row, column] of cells(errors)) {
      const n = column * 32 + row;
      expect(pixel(errors, row, column)).toEqual(colour(Math.abs(exact[n]! - found[n]!) / errors.high));
    }
  });

  it('shows each block’s scale where its weights are', () => {
    const { scales } = viewLayer(quantized, float, 'layer2.0.conv2');
    const filter = filterOf('layer2.0.conv2');
    const kds = filter.scales('kds')!.map(Math.abs);
    expect(scales).toMatchObject({ rows: 32, columns: 9 * 32, ...scaleRange(kds) });
    expect(scales!.description).toContain(`${kds.length} scales, one for each block of 8`);
    for (const [row, column] of cells(scales!)) {
      const [tap, input] = [Math.floor(column / 32), column % 32];
      const scale = kds[(tap * filter.blocks + Math.floor(input / 8)) * 32 + row]!;
      const expected = scale > 0 ? scaleColour(scale, scaleRange(kds)) : [0, 0, 0, 0];
      expect(pixel(scales!, row, column)).toEqual(expected);
    }
  });

  it('shows one scale along the row of a channel where there is one per channel', () => {
    const { scales } = viewLayer(quantized, float, 'conv1');
    for (let row = 0; row < scales!.rows; row++) {
      expect(pixel(scales!, row, 0)).toEqual(pixel(scales!, row, scales!.columns - 1));
    }
    expect(scales!.description).toContain('16 scales, one for each output channel');
  });

  it('is dark where nothing was lost', () => {
    const view = viewLayer(quantized, dequantized(quantized), 'layer1.0.conv1');
    expect(view.snrDb).toBeNull();
    expect(view.errors.high).toBe(0);
    expect(pixel(view.errors, 3, 5)).toEqual(colour(0));
  });

  it('knows depthwise layers, and shrinks what has too many cells', async () => {
    const architecture = createArchitecture('mobilenet_v1_0.25');
    const weights = randomParameters(architecture, 1);
    const size = { mode: 'exact', cropRatio: 1 } as const;
    const mean = { range: [0, 1], mean: [0, 0, 0], std: [1, 1, 1] } as const;
    const preprocessing = {
      size: 224,
      channels: 3,
      resize: size,
      interpolation: 'bilinear',
      antialias: false,
      ...mean,
    } as const;
    const network = new Network({ architecture, weights, preprocessing });
    const small = (await quantizeNetwork(network, { bits: 4, blockSize: 64, method: 'absmax' })).network;
    const depthwise = viewLayer(small, network, 'conv_dw_3');
    expect([depthwise.errors.rows, depthwise.errors.columns]).toEqual([32, 9]);
    const last = viewLayer(small, network, architecture.layers.at(-1)!.name);
    expect([last.errors.rows, last.errors.columns]).toEqual([256, 256]);
    expect(last.exact).toHaveLength(256 * 1000);
  });

  it('is refused for a layer that is not there', () => {
    expect(() => viewLayer(quantized, float, 'layer9')).toThrow(InvalidArgumentError);
    expect(() => viewLayer(quantized, float, 'layer9')).toThrow("no layer 'layer9'");
  });
});

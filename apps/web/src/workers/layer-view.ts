/** One layer before and after: how its weights are distributed, the scales of its blocks, and where the errors are. */
import { signalToNoise, weightsOf } from '@dsconv/converter/in-memory';
import { colour, plain, scaleColour, scaleRange, weightHistogram } from '@dsconv/converter/report';
import { DSConvFilter, InvalidArgumentError } from '@dsconv/core';
import type { LayerSpec, Network } from '@dsconv/models';
import type { Grid, LayerView } from './api.js';

/** Cells of a grid; where there are more weights, neighbours share one. */
const [MOST_ROWS, MOST_COLUMNS] = [256, 1152];

/** @throws InvalidArgumentError when the network has no such layer */
export function viewLayer(quantized: Network, float: Network, name: string): LayerView {
  const layer = quantized.architecture.layers.find((spec) => spec.name === name);
  if (!layer) throw new InvalidArgumentError(`the network has no layer '${name}'`);
  const { filter } = quantized.weights.get(name)!;
  const exact = weightsOf(float, name).slice() as Float32Array<ArrayBuffer>;
  const found = weightsOf(quantized, name).slice() as Float32Array<ArrayBuffer>;
  return {
    name,
    shape: layer.shape,
    kind: layer.kind,
    snrDb: signalToNoise(exact, found),
    histogram: weightHistogram(exact, found),
    scales: filter instanceof DSConvFilter ? scaleGrid(filter, layer) : null,
    errors: errorGrid(exact, found, layer),
    exact,
    found,
  };
}

/** Weight `n` of the layer lies in column `floor(n / outputs)`, which counts taps and input channels, and row `n % outputs`. */
function sizesOf({ kind, shape }: LayerSpec): { rows: number; columns: number } {
  const rows = kind === 'depthwise' ? shape[2] * shape[3] : shape[3];
  return { rows, columns: shape.reduce((a, b) => a * b, 1) / rows };
}

function scaleGrid(filter: DSConvFilter, layer: LayerSpec): Grid {
  const { rows, columns } = sizesOf(layer);
  const isPerBlock = filter.stored('kds') !== undefined;
  const scales = filter.scales(isPerBlock ? 'kds' : 'cds')!.map(Math.abs);
  const range = scaleRange(scales);
  const depth = layer.kind === 'depthwise' ? 1 : layer.shape[2];
  const { blocks, blockSize } = filter;
  const scaleAt = (row: number, column: number): number => {
    if (!isPerBlock) return scales[row]!;
    const tap = Math.floor(column / depth);
    return scales[(tap * blocks + Math.floor((column % depth) / blockSize)) * rows + row]!;
  };
  const grid = gridOf(rows, columns, (row, column) => {
    const scale = scaleAt(row, column);
    return scale > 0 ? scaleColour(scale, range) : null;
  });
  const count = isPerBlock
    ? `${scales.length} scales, one for each block of ${Math.min(blockSize, depth)}`
    : `${scales.length} scales, one for each output channel`;
  return { ...grid, ...range, description: `${count}, from ${plain(range.low)} to ${plain(range.high)}` };
}

function errorGrid(exact: Float32Array, found: Float32Array, layer: LayerSpec): Grid {
  const { rows, columns } = sizesOf(layer);
  const errors = exact.map((weight, n) => Math.abs(weight - found[n]!));
  let squares = 0;
  for (const error of errors) squares += error * error;
  const high = highOf(errors);
  const grid = gridOf(rows, columns, (row, column) =>
    colour(high === 0 ? 0 : errors[column * rows + row]! / high),
  );
  const rms = Math.sqrt(squares / errors.length);
  const description = `Errors of ${errors.length} weights, ${plain(rms)} root mean square, colours up to ${plain(high)}`;
  return { ...grid, low: 0, high, description };
}

/** What all but a hundredth of the errors stay below, judged by enough of them. */
function highOf(errors: Float32Array): number {
  const step = Math.ceil(errors.length / 20_000);
  const some = errors.filter((_, n) => n % step === 0).sort();
  return some[Math.floor(0.99 * (some.length - 1))]!;
}

/** @param colourAt red, green, blue and opacity of a weight, or null for none */
function gridOf(
  allRows: number,
  allColumns: number,
  colourAt: (row: number, column: number) => number[] | null,
): Pick<Grid, 'rows' | 'columns' | 'pixels'> {
  const [rows, columns] = [Math.min(allRows, MOST_ROWS), Math.min(allColumns, MOST_COLUMNS)];
  const pixels = new Uint8ClampedArray(rows * columns * 4);
  for (let row = 0; row < rows; row++) {
    const fromRow = Math.floor((row * allRows) / rows);
    for (let column = 0; column < columns; column++) {
      const found = colourAt(fromRow, Math.floor((column * allColumns) / columns));
      if (found) pixels.set(found, 4 * (row * columns + column));
    }
  }
  return { rows, columns, pixels };
}

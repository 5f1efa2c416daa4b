/** One layer: histogram, scales, errors. */
import { decibels, plain } from '@dsconv/converter/report';
import { byId } from '../page/dom.js';
import type { LayerRow, LayerView } from '../workers/api.js';
import { type Cell, HeatMap } from './heat-map.js';

export class LayerPanel {
  private view: LayerView | null = null;
  private readonly scales = new HeatMap(byId('scales'), (cell) => this.read(cell));
  private readonly errors = new HeatMap(byId('errors'), (cell) => this.read(cell));

  show(view: LayerView, row: LayerRow): void {
    this.view = view;
    byId('layer-title').textContent = view.name;
    const form = row.blockSize === null ? 'one scale per channel' : `blocks of ${row.blockSize}`;
    const loss = view.snrDb === null ? 'nothing lost' : decibels(view.snrDb);
    byId('layer-note').textContent =
      `${view.kind === 'depthwise' ? 'Depthwise' : 'Filter'} ${view.shape.join('×')}, ${row.weights} weights · ${row.bits} bits, ${form} · ${row.bytes} bytes · ${loss}`;
    byId('histogram').innerHTML = view.histogram;
    const size = sizeOf(view);
    byId('scales-figure').hidden = view.scales === null;
    if (view.scales) {
      this.scales.show(view.scales, size);
      byId('scales-caption').textContent = view.scales.description;
    }
    this.errors.show(view.errors, size);
    byId('errors-caption').textContent = view.errors.description;
    byId('readout').textContent = '';
  }

  private read({ row, column }: Cell): void {
    if (!this.view) return;
    const { exact, found, shape, kind } = this.view;
    const [, width, inner] = shape as [number, number, number, number];
    const depth = kind === 'depthwise' ? 1 : inner;
    const tap = Math.floor(column / depth);
    const place = `output ${row}, tap (${Math.floor(tap / width)}, ${tap % width})`;
    const input = kind === 'depthwise' ? '' : `, input ${column % depth}`;
    const n = column * sizeOf(this.view).rows + row;
    byId('readout').textContent =
      `${place}${input}: float ${plain(exact[n]!)}, stored ${plain(found[n]!)}, error ${plain(Math.abs(exact[n]! - found[n]!))}`;
  }
}

function sizeOf({ shape, kind, exact }: LayerView): { rows: number; columns: number } {
  const rows = kind === 'depthwise' ? shape[2]! * shape[3]! : shape[3]!;
  return { rows, columns: exact.length / rows };
}

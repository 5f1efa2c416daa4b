/** A canvas that shows a grid of a layer's weights, and says what lies under a finger, a pointer or the arrow keys. */
import type { Grid } from '../workers/api.js';

/** Heights on the screen, in pixels: a row should be seen, and a map not fill the screen. */
const [LOWEST, HIGHEST] = [48, 220];

export interface Cell {
  /** Output channel. */
  row: number;
  /** Tap and input channel. */
  column: number;
}

export class HeatMap {
  private size: { rows: number; columns: number } = { rows: 1, columns: 1 };
  private cell: Cell = { row: 0, column: 0 };

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly onPoint: (cell: Cell) => void,
  ) {
    canvas.addEventListener('pointermove', (event) => this.pointAt(event));
    canvas.addEventListener('pointerdown', (event) => this.pointAt(event));
    canvas.addEventListener('keydown', (event) => this.move(event));
  }

  /** @param size rows and columns of all weights; the grid may have fewer */
  show(grid: Grid, size: { rows: number; columns: number }): void {
    const { canvas } = this;
    [canvas.width, canvas.height] = [grid.columns, grid.rows];
    canvas.style.height = `${Math.min(HIGHEST, Math.max(LOWEST, grid.rows * 3))}px`;
    canvas.getContext('2d')!.putImageData(new ImageData(grid.pixels, grid.columns, grid.rows), 0, 0);
    this.size = size;
    this.cell = { row: 0, column: 0 };
  }

  private pointAt({ clientX, clientY }: PointerEvent): void {
    const box = this.canvas.getBoundingClientRect();
    const column = ((clientX - box.left) / box.width) * this.size.columns;
    const row = ((clientY - box.top) / box.height) * this.size.rows;
    this.go({ row: Math.floor(row), column: Math.floor(column) });
  }

  private move(event: KeyboardEvent): void {
    const steps: Record<string, [number, number]> = {
      ArrowUp: [-1, 0],
      ArrowDown: [1, 0],
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
    };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    this.go({ row: this.cell.row + step[0], column: this.cell.column + step[1] });
  }

  private go({ row, column }: Cell): void {
    const { rows, columns } = this.size;
    const within = (value: number, most: number): number => Math.min(most - 1, Math.max(0, value));
    this.cell = { row: within(row, rows), column: within(column, columns) };
    this.onPoint(this.cell);
  }
}

/** Statistics of a batch, channel by channel, and the gradient of its normalization by them (core's normalize-batch.ts has the formulas). */
import { blocksFor, type Launcher } from '../device/launch.js';
import { packBatchNormFinish, packBatchNormGradient, packBatchNormSums } from '../device/params.js';

const THREADS = 256;
const MOST_LANES = 32;
/** Rows that a thread sums at least, and chunks of rows at most. */
const LEAST_ROWS = 16;
const MOST_CHUNKS = 512;

/** What is summed, as `batch_norm_sums` numbers it. */
const WHAT = { values: 0, squares: 1, gradients: 2 } as const;

interface Rows {
  rows: number;
  channels: number;
}

export interface BatchMomentsCall extends Rows {
  /** Device addresses of float32 `[rows, channels]`, and of `[channels]` twice. */
  x: number;
  mean: number;
  variance: number;
}

/** Mean, and mean squared deviation from it: a mean that is large costs the variance no digits. */
export function launchBatchMoments(launcher: Launcher, call: BatchMomentsCall): void {
  const { x, mean, variance, rows, channels } = call;
  const sums = new ColumnSums(launcher, { rows, channels });
  const given = { x, dy: 0, mean, variance, epsilon: 0 };
  sums.launch('values', given, { first: mean, second: 0, divisor: rows });
  sums.launch('squares', given, { first: variance, second: 0, divisor: rows });
}

export interface BatchNormGradientCall extends Rows {
  /** Device addresses of float32 `[rows, channels]`. */
  x: number;
  dy: number;
  dx: number;
  /** Of `[channels]`. */
  mean: number;
  variance: number;
  gamma: number;
  dgamma: number;
  dbeta: number;
  epsilon: number;
}

export function launchBatchNormGradient(launcher: Launcher, call: BatchNormGradientCall): void {
  const { x, dy, mean, variance, dgamma, dbeta, rows, channels, epsilon } = call;
  new ColumnSums(launcher, { rows, channels }).launch(
    'gradients',
    { x, dy, mean, variance, epsilon },
    { first: dbeta, second: dgamma, divisor: 1 },
  );
  launcher.launch({
    kernel: 'batch_norm_gradient',
    grid: [blocksFor(rows * channels, THREADS)],
    threads: THREADS,
    params: packBatchNormGradient(call),
  });
}

/** Sums down the columns of a matrix: chunks of rows first, then those of each column in order. */
class ColumnSums {
  private readonly lanes: number;
  private readonly chunkRows: number;
  private readonly chunks: number;

  constructor(
    private readonly launcher: Launcher,
    private readonly size: Rows,
  ) {
    const { rows, channels } = size;
    this.lanes = Math.min(MOST_LANES, 2 ** Math.ceil(Math.log2(Math.max(1, channels))));
    const least = LEAST_ROWS * (THREADS / this.lanes);
    this.chunkRows = launcher.tier === 'naive' ? rows : Math.max(least, Math.ceil(rows / MOST_CHUNKS));
    this.chunks = Math.max(1, Math.ceil(rows / this.chunkRows));
  }

  launch(
    what: keyof typeof WHAT,
    given: { x: number; dy: number; mean: number; variance: number; epsilon: number },
    result: { first: number; second: number; divisor: number },
  ): void {
    const { launcher, lanes, chunkRows, chunks, size } = this;
    const { channels } = size;
    const naive = launcher.tier === 'naive';
    launcher.temporary(chunks * 2 * channels * Float32Array.BYTES_PER_ELEMENT, (partial) => {
      launcher.launch({
        kernel: naive ? 'batch_norm_sums_naive' : 'batch_norm_sums',
        grid: naive ? [blocksFor(channels, THREADS)] : [Math.ceil(channels / lanes), chunks],
        threads: THREADS,
        params: packBatchNormSums({ ...given, ...size, partial, lanes, chunkRows, what: WHAT[what] }),
      });
      launcher.launch({
        kernel: 'batch_norm_finish',
        grid: [blocksFor(channels, THREADS)],
        threads: THREADS,
        params: packBatchNormFinish({ ...result, partial, chunks, channels }),
      });
    });
  }
}

// Parameters of batch normalization.
#pragma once

/** y[i] = offset + (x[i] - mean) * scale / √(variance + epsilon), where the others are repeated as often as they fit. */
struct BatchNormParams {
  const float* x;
  const float* mean;
  const float* variance;
  /** 0: 1. */
  const float* scale;
  /** 0: 0. */
  const float* offset;
  float* y;
  /** Values of x, and of each of the others. */
  int count;
  int meanPeriod;
  int variancePeriod;
  int scalePeriod;
  int offsetPeriod;
  float epsilon;
};

/** Sums down the columns of [rows, channels]; each chunk of the rows gives [2, channels] of its own. */
struct BatchNormSumsParams {
  const float* x;
  /** Gradient of the result, for `what` 2. */
  const float* dy;
  /** For `what` 1 and 2. */
  const float* mean;
  const float* variance;
  float* partial;
  int rows;
  int channels;
  /** Columns of a block: a power of two up to 32. */
  int lanes;
  int chunkRows;
  /** 0: Σ x. 1: Σ (x - mean)². 2: Σ dy and Σ dy (x - mean) / √(variance + epsilon). */
  int what;
  float epsilon;
};

/** first[c] = Σ over the chunks of partial[chunk, 0, c] / divisor; second likewise where it is not 0. */
struct BatchNormFinishParams {
  const float* partial;
  float* first;
  float* second;
  int chunks;
  int channels;
  float divisor;
};

/** dx = gamma r (dy - dbeta / rows - (x - mean) r dgamma / rows), r = 1 / √(variance + epsilon). */
struct BatchNormGradientParams {
  const float* x;
  const float* dy;
  const float* mean;
  const float* variance;
  const float* gamma;
  const float* dgamma;
  const float* dbeta;
  float* dx;
  int rows;
  int channels;
  float epsilon;
};

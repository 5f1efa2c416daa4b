#include "batch_norm.h"

#include <cmath>
#include <vector>

#include "common.h"
#include "thread_pool.h"

namespace dsconv {
namespace {

// Floats of a piece, which is read twice: it stays in the second-level cache.
constexpr int64_t kPiece = 1 << 15;

// Rows of a piece, whose sums are float32.
int64_t piece_rows(int64_t channels) { return max_of<int64_t>(1, min_of<int64_t>(2048, kPiece / channels)); }

// Calls visit(piece, first row, rows) for all pieces, several at a time.
template <typename Visit>
int64_t each_piece(int64_t rows, int64_t channels, const Visit& visit) {
  const int64_t size = piece_rows(channels), pieces = ceil_div(rows, size);
  parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; p++) visit(p, p * size, min_of(size, rows - p * size));
  });
  return pieces;
}

}  // namespace

void batch_moments(const float* x, float* mean, float* variance, int64_t rows, int64_t channels) {
  const int64_t pieces = ceil_div(rows, piece_rows(channels));
  std::vector<float> means(size_t(pieces * channels), 0.0f), squares(size_t(pieces * channels), 0.0f);
  each_piece(rows, channels, [&](int64_t p, int64_t first, int64_t count) {
    const float* from = x + first * channels;
    float *m = &means[size_t(p * channels)], *s = &squares[size_t(p * channels)];
    // What the first row has in common with the others costs no digits.
    for (int64_t r = 1; r < count; r++) for (int64_t c = 0; c < channels; c++) m[c] += from[r * channels + c] - from[c];
    for (int64_t c = 0; c < channels; c++) m[c] = from[c] + m[c] / float(count);
    for (int64_t r = 0; r < count; r++) {
      for (int64_t c = 0; c < channels; c++) {
        const float d = from[r * channels + c] - m[c];
        s[c] += d * d;
      }
    }
  });
  const int64_t size = piece_rows(channels);
  for (int64_t c = 0; c < channels; c++) {
    double total = 0, average = 0, sum = 0;
    for (int64_t p = 0; p < pieces; p++) {
      const double count = double(min_of(size, rows - p * size)), delta = means[size_t(p * channels + c)] - average;
      sum += squares[size_t(p * channels + c)] + delta * delta * total * count / (total + count);
      average += delta * count / (total + count);
      total += count;
    }
    mean[c] = float(average);
    variance[c] = float(sum / double(rows));
  }
}

void batch_normalize(const float* x, float* y, const float* mean, const float* variance, const float* gamma, const float* beta, float epsilon, int64_t rows, int64_t channels) {
  std::vector<float> scale(static_cast<size_t>(channels));
  for (int64_t c = 0; c < channels; c++) scale[size_t(c)] = float(double(gamma[c]) / std::sqrt(double(variance[c]) + epsilon));
  each_piece(rows, channels, [&](int64_t, int64_t first, int64_t count) {
    for (int64_t r = first; r < first + count; r++) {
      const float* from = x + r * channels;
      float* to = y + r * channels;
      for (int64_t c = 0; c < channels; c++) to[c] = (from[c] - mean[c]) * scale[size_t(c)] + beta[c];
    }
  });
}

void batch_norm_gradient(const float* x, const float* dy, float* dx, float* dgamma, float* dbeta, const float* mean, const float* variance, const float* gamma, float epsilon,
                         int64_t rows, int64_t channels) {
  const int64_t pieces = ceil_div(rows, piece_rows(channels));
  std::vector<float> sums(size_t(2 * pieces * channels), 0.0f);
  each_piece(rows, channels, [&](int64_t p, int64_t first, int64_t count) {
    float *plain = &sums[size_t(2 * p * channels)], *weighted = plain + channels;
    for (int64_t r = first; r < first + count; r++) {
      const float *values = x + r * channels, *from = dy + r * channels;
      for (int64_t c = 0; c < channels; c++) {
        plain[c] += from[c];
        weighted[c] += from[c] * (values[c] - mean[c]);
      }
    }
  });
  std::vector<float> factors(size_t(3 * channels));
  float *by_dy = factors.data(), *by_x = by_dy + channels, *rest = by_x + channels;
  for (int64_t c = 0; c < channels; c++) {
    const double r = 1 / std::sqrt(double(variance[c]) + epsilon);
    double plain = 0, weighted = 0;
    for (int64_t p = 0; p < pieces; p++) {
      plain += sums[size_t(2 * p * channels + c)];
      weighted += sums[size_t((2 * p + 1) * channels + c)];
    }
    dbeta[c] = float(plain);
    dgamma[c] = float(weighted * r);
    by_dy[c] = float(gamma[c] * r);
    by_x[c] = float(-gamma[c] * r * r * r * weighted / double(rows));
    rest[c] = float(-gamma[c] * r * plain / double(rows));
  }
  each_piece(rows, channels, [&](int64_t, int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; row++) {
      const float *values = x + row * channels, *from = dy + row * channels;
      float* to = dx + row * channels;
      for (int64_t c = 0; c < channels; c++) to[c] = by_dy[c] * from[c] + (by_x[c] * (values[c] - mean[c]) + rest[c]);
    }
  });
}

}  // namespace dsconv

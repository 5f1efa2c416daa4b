// Batch normalization with the statistics of the batch, and its gradient (Ioffe and Szegedy, arXiv 1502.03167). x is [rows][channels].
#pragma once

#include <cstdint>

namespace dsconv {

// Mean and variance (of the population) of every channel. Pieces of fixed size are put together one after the other (Chan, Golub and LeVeque), so that results
// do not depend on the number of threads, and a large mean costs no digits of the variance.
void batch_moments(const float* x, float* mean, float* variance, int64_t rows, int64_t channels);

// y = (x - mean) * r * gamma + beta, r = 1 / sqrt(variance + epsilon). y may be x.
void batch_normalize(const float* x, float* y, const float* mean, const float* variance, const float* gamma, const float* beta, float epsilon, int64_t rows, int64_t channels);

// dbeta = sum dy, dgamma = sum dy (x - mean) r, dx = gamma r (dy - dbeta / rows - (x - mean) r dgamma / rows). dx may be dy.
void batch_norm_gradient(const float* x, const float* dy, float* dx, float* dgamma, float* dbeta, const float* mean, const float* variance, const float* gamma, float epsilon,
                         int64_t rows, int64_t channels);

}  // namespace dsconv

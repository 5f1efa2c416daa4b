// What follows the sum of a float32 product: bias, residual, activation. For every Params with the fields bias, residual, slopes, biasStep, slopesStep,
// activation and alpha.
#pragma once
#include "kernel.h"

// As src/kernels/epilogue.ts numbers them. Those up to PRELU are a few instructions; kernels with many sums in registers know them alone, and gemm_finish
// follows for the others.
constexpr int ACTIVATION_RELU = 1, ACTIVATION_RELU6 = 2, ACTIVATION_LEAKY_RELU = 3, ACTIVATION_PRELU = 4, ACTIVATION_SILU = 5, ACTIVATION_ELU = 6,
              ACTIVATION_SIGMOID = 7;

/** Linear, relu, relu6, leaky relu and prelu. Comparisons are such that NaN stays NaN, and infinity is not multiplied by 0. */
__device__ __forceinline__ float activate_simply(float v, int activation, float slope) {
  const bool clamps = activation == ACTIVATION_RELU || activation == ACTIVATION_RELU6;
  const bool bends = activation == ACTIVATION_LEAKY_RELU || activation == ACTIVATION_PRELU;
  if (clamps && v <= 0.0f) v = 0.0f;
  if (bends && v < 0.0f) v *= slope;
  if (activation == ACTIVATION_RELU6 && v > 6.0f) v = 6.0f;
  return v;
}

/** Of numbers that are far below zero too: e^v is never infinite. */
__device__ __forceinline__ float sigmoid(float v) {
  if (v >= 0.0f) return 1.0f / (1.0f + expf(-v));
  const float e = expf(v);
  return e / (1.0f + e);
}

/** All of them. */
__device__ __forceinline__ float activate(float v, int activation, float slope) {
  switch (activation) {
    case ACTIVATION_SILU: return v == -INFINITY ? 0.0f : v * sigmoid(v);
    case ACTIVATION_ELU: return v >= 0.0f ? v : expm1f(v);
    case ACTIVATION_SIGMOID: return sigmoid(v);
    default: return activate_simply(v, activation, slope);
  }
}

/** The slope of the values below 0 in a column. */
template <class P>
__device__ __forceinline__ float slope_of(const P& p, int column) {
  return p.activation == ACTIVATION_PRELU ? p.slopes[static_cast<long long>(column) * p.slopesStep] : p.alpha;
}

template <class P>
__device__ __forceinline__ float bias_of(const P& p, int column) {
  return p.bias ? p.bias[static_cast<long long>(column) * p.biasStep] : 0.0f;
}

/** The value of element `at` of the result, in `column`, whose sum is `v`. */
template <class P>
__device__ __forceinline__ float finished(const P& p, float v, size_t at, int column) {
  if (p.bias) v += bias_of(p, column);
  if (p.residual) v += p.residual[at];
  return p.activation == 0 ? v : activate(v, p.activation, slope_of(p, column));
}

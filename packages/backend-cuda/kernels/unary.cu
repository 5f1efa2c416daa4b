// Functions of one operand. unary_f32 computes in float32; unary_int takes int32 and bool and computes in float64 like JavaScript, so that integers stay exact.
#include "kernel.h"
#include "elementwise.cuh"

namespace {

__device__ inline float sigmoid(float x) {
  // Of two forms the one whose exponential cannot overflow, so that tiny results stay.
  const float e = expf(-fabsf(x));
  return (x >= 0.0f ? 1.0f : x == x ? e : x) / (1.0f + e);
}

template <class T>
__device__ inline T softplus(T x) {
  // TensorFlow.js's thresholds: log(2^-23) + 2.
  const T threshold = T(-13.942385);
  if (x > -threshold) return x;
  const T e = exp(x);
  return x < threshold ? e : log1p(e);
}

/**
 * One case for all four elements, so that the code is chosen once for them. Long functions stand there once and the elements come round to them, since an index that is not known when
 * compiling would put them into memory.
 */
#define CASE(code, expression)                    \
  case code:                                      \
    _Pragma("unroll 1") for (int i = 0; i < 4; i++) { \
      const T x = v[0];                           \
      v[0] = v[1], v[1] = v[2], v[2] = v[3];      \
      v[3] = (expression);                        \
    }                                             \
    break
#define SHORT_CASE(code, expression)   \
  case code:                           \
    _Pragma("unroll") for (int i = 0; i < 4; i++) { \
      const T x = v[i];                \
      v[i] = (expression);             \
    }                                  \
    break

/** Operations that whole numbers have too; what they do to them beside copying. */
template <class T>
__device__ inline void apply(int operation, T alpha, T beta, T (&v)[4]) {
  const T zero = T(0), one = T(1);
  switch (operation) {
    SHORT_CASE(UNARY_NOT_ZERO, x != zero ? one : zero);
    SHORT_CASE(UNARY_ABS, fabs(x));
    SHORT_CASE(UNARY_NEG, -x);
    SHORT_CASE(UNARY_SQUARE, x * x);
    SHORT_CASE(UNARY_RELU, x > zero || x != x ? x : zero);
    SHORT_CASE(UNARY_RELU6, x > T(6) ? T(6) : x > zero || x != x ? x : zero);
    SHORT_CASE(UNARY_LEAKYRELU, x < zero ? alpha * x : x);
    SHORT_CASE(UNARY_SIGN, x < zero ? -one : x > zero ? one : zero);
    SHORT_CASE(UNARY_CLIP, x > beta ? beta : x < alpha ? alpha : x);
    SHORT_CASE(UNARY_STEP, x != x ? x : x > zero ? one : alpha);
    SHORT_CASE(UNARY_LOGICAL_NOT, truthy(x) ? zero : one);
    CASE(UNARY_EXP, exp(x));
    CASE(UNARY_EXPM1, expm1(x));
    CASE(UNARY_LOG1P, log1p(x));
    // TensorFlow.js's constants.
    CASE(UNARY_SELU, x >= zero ? T(1.0507009873554805) * x : T(1.7580993408473768) * expm1(x));
    CASE(UNARY_SOFTPLUS, softplus(x));
    CASE(UNARY_RECIPROCAL, one / x);
    default:
      break;
  }
}

/** Operations of float32 alone. */
__device__ inline void apply_float(int operation, float (&v)[4]) {
  using T = float;
  switch (operation) {
    SHORT_CASE(UNARY_FLOOR, floorf(x));
    SHORT_CASE(UNARY_CEIL, ceilf(x));
    SHORT_CASE(UNARY_ROUND, rintf(x));
    SHORT_CASE(UNARY_IS_NAN, x != x ? 1.0f : 0.0f);
    SHORT_CASE(UNARY_IS_INF, fabsf(x) == INFINITY ? 1.0f : 0.0f);
    SHORT_CASE(UNARY_IS_FINITE, fabsf(x) < INFINITY ? 1.0f : 0.0f);
    CASE(UNARY_LOG, logf(x));
    CASE(UNARY_SQRT, sqrtf(x));
    CASE(UNARY_RSQRT, 1.0f / sqrtf(x));
    CASE(UNARY_SIGMOID, sigmoid(x));
    CASE(UNARY_TANH, tanhf(x));
    CASE(UNARY_ELU, x >= 0.0f ? x : expm1f(x));
    CASE(UNARY_SIN, sinf(x));
    CASE(UNARY_COS, cosf(x));
    CASE(UNARY_TAN, tanf(x));
    CASE(UNARY_ERF, erff(x));
    CASE(UNARY_SILU, x / (1.0f + expf(-x)));
    default:
      break;
  }
}

}  // namespace

KERNEL(unary_f32, UnaryParams, 256) {
  const bool vector = aligned16(p.x) && (aligned16(p.y) || p.yType != FLOAT32);
  const unsigned quads = (static_cast<unsigned>(p.count) + 3) / 4;
  for (unsigned q = blockIdx.x * blockDim.x + threadIdx.x; q < quads; q += gridDim.x * blockDim.x) {
    const int at = static_cast<int>(4 * q), count = p.count - at < 4 ? p.count - at : 4;
    const bool whole = vector && count == 4;
    float v[4];
    load4(p.x, at, count, whole, v);
    if (p.operation < UNARY_FLOAT_ALONE) apply(p.operation, p.alpha, p.beta, v);
    else apply_float(p.operation, v);
    store4(p.y, p.yType, at, count, whole, v);
  }
}

KERNEL(unary_int, UnaryParams, 256) {
  const bool vector = aligned16(p.y);
  const double alpha = static_cast<double>(p.alpha) + p.alphaRest, beta = static_cast<double>(p.beta) + p.betaRest;
  const unsigned quads = (static_cast<unsigned>(p.count) + 3) / 4;
  for (unsigned q = blockIdx.x * blockDim.x + threadIdx.x; q < quads; q += gridDim.x * blockDim.x) {
    const int at = static_cast<int>(4 * q), count = p.count - at < 4 ? p.count - at : 4;
    double v[4];
    load4_int(p.x, p.xType, at, count, v);
    apply(p.operation, alpha, beta, v);
    store4(p.y, p.yType, at, count, vector && count == 4, v);
  }
}

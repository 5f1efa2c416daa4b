// Batch normalization by given statistics, and the gradient of that by the batch's own.
#include "kernel.h"
#include "params/batch_norm.h"

namespace {

/** One value normalized; the numbers are those of its channel. */
__device__ __forceinline__ float normalized(float x, float mean, float variance, float scale, float offset, float epsilon) {
  return offset + (x - mean) * scale / sqrtf(variance + epsilon);
}

}  // namespace

/** Four values per thread; all periods are the same multiple of 4, and scale and offset are there. */
KERNEL(batch_norm, BatchNormParams, 256) {
  const int at = static_cast<int>((blockIdx.x * blockDim.x + threadIdx.x) * 4);
  if (at >= p.count || at < 0) return;
  const int c = at % p.meanPeriod;
  const float4 x = *reinterpret_cast<const float4*>(p.x + at), m = *reinterpret_cast<const float4*>(p.mean + c);
  const float4 v = *reinterpret_cast<const float4*>(p.variance + c), s = *reinterpret_cast<const float4*>(p.scale + c);
  const float4 o = *reinterpret_cast<const float4*>(p.offset + c);
  *reinterpret_cast<float4*>(p.y + at) =
      make_float4(normalized(x.x, m.x, v.x, s.x, o.x, p.epsilon), normalized(x.y, m.y, v.y, s.y, o.y, p.epsilon),
                  normalized(x.z, m.z, v.z, s.z, o.z, p.epsilon), normalized(x.w, m.w, v.w, s.w, o.w, p.epsilon));
}

/** One value per thread. */
KERNEL(batch_norm_any, BatchNormParams, 256) {
  const unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= static_cast<unsigned>(p.count)) return;
  const float scale = p.scale ? p.scale[at % p.scalePeriod] : 1.0f, offset = p.offset ? p.offset[at % p.offsetPeriod] : 0.0f;
  p.y[at] = normalized(p.x[at], p.mean[at % p.meanPeriod], p.variance[at % p.variancePeriod], scale, offset, p.epsilon);
}

/** One value per thread. */
KERNEL(batch_norm_gradient, BatchNormGradientParams, 256) {
  const size_t at = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= static_cast<size_t>(p.rows) * p.channels) return;
  const int c = static_cast<int>(at % p.channels);
  const float inverse = 1.0f / sqrtf(p.variance[c] + p.epsilon), rows = static_cast<float>(p.rows);
  const float x = (p.x[at] - p.mean[c]) * inverse;
  p.dx[at] = p.gamma[c] * inverse * (p.dy[at] - p.dbeta[c] / rows - x * (p.dgamma[c] / rows));
}

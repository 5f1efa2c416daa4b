// Reductions, places of extremes and running sums. Every order of summation follows from the shape: no atomics.
#include "kernel.h"
#include "elementwise.cuh"
#include "params/reduce.h"

namespace {

__device__ inline float load(const void* x, int, size_t at, float) { return static_cast<const float*>(x)[at]; }
__device__ inline int load(const void* x, int type, size_t at, int) {
  return type == INT32 ? static_cast<const int*>(x)[at] : static_cast<const uint8_t*>(x)[at];
}

/** Sums and products of int32 wrap, which is defined for unsigned ones. */
__device__ inline int add(int a, int b) { return static_cast<int>(static_cast<unsigned>(a) + static_cast<unsigned>(b)); }
__device__ inline float add(float a, float b) { return a + b; }
__device__ inline int multiply(int a, int b) { return static_cast<int>(static_cast<unsigned>(a) * static_cast<unsigned>(b)); }
__device__ inline float multiply(float a, float b) { return a * b; }

__device__ inline float lowest(float) { return -INFINITY; }
__device__ inline int lowest(int) { return -2147483647 - 1; }
__device__ inline float highest(float) { return INFINITY; }
__device__ inline int highest(int) { return 2147483647; }

template <class T>
__device__ inline T identity(int operation) {
  switch (operation) {
    case REDUCE_PROD:
    case REDUCE_ALL:
      return T(1);
    case REDUCE_MAX:
      return lowest(T());
    case REDUCE_MIN:
      return highest(T());
    default:
      return T(0);
  }
}

template <class T>
__device__ inline T combine(int operation, T a, T b) {
  switch (operation) {
    case REDUCE_SUM:
      return add(a, b);
    case REDUCE_PROD:
      return multiply(a, b);
    // NaN stays whichever side it is on.
    case REDUCE_MAX:
      return a != a || a > b ? a : b;
    case REDUCE_MIN:
      return a != a || a < b ? a : b;
    case REDUCE_ALL:
      return a != T(0) && b != T(0) ? T(1) : T(0);
    default:
      return a != T(0) || b != T(0) ? T(1) : T(0);
  }
}

/** What a thread of a block works on: see ReduceParams. */
struct Lane {
  int outer, inner, n;
  /** From..to along n, in steps of lanesN. */
  int from, to, part;
  bool valid;
};

template <class Params>
__device__ inline Lane lane_of(const Params& p) {
  const int thread = threadIdx.x, lanesOuter = 256 / (p.lanesInner * p.lanesN);
  const int tiles = (p.inner + p.lanesInner - 1) / p.lanesInner;
  int block = blockIdx.x;
  Lane lane;
  lane.part = block % p.parts;
  block /= p.parts;
  lane.inner = block % tiles * p.lanesInner + thread % p.lanesInner;
  lane.outer = block / tiles * lanesOuter + thread / (p.lanesInner * p.lanesN);
  lane.n = thread / p.lanesInner % p.lanesN;
  lane.valid = lane.inner < p.inner && lane.outer < p.outer;
  lane.from = lane.part * p.chunk + lane.n;
  lane.to = p.n - lane.part * p.chunk < p.chunk ? p.n : (lane.part + 1) * p.chunk;
  return lane;
}

template <class T>
__device__ inline void reduce(const ReduceParams& p) {
  __shared__ T partial[256];
  const Lane lane = lane_of(p);
  const T nothing = identity<T>(p.operation);
  T value = nothing;
  if (lane.valid) {
    const size_t start = static_cast<size_t>(lane.outer) * p.n * p.inner + lane.inner;
    for (int n = lane.from; n < lane.to; n += 4 * p.lanesN) {
      // Four reads are on their way at once; what combines them stands there once.
      T v[4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int at = n + i * p.lanesN;
        v[i] = at < lane.to ? load(p.x, p.xType, start + static_cast<size_t>(at) * p.inner, T()) : nothing;
      }
#pragma unroll 1
      for (int i = 0; i < 4; i++) {
        value = combine(p.operation, value, v[0]);
        v[0] = v[1], v[1] = v[2], v[2] = v[3];
      }
    }
  }
  partial[threadIdx.x] = value;
#pragma unroll 1
  for (int half = p.lanesN / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane.n < half) {
      value = combine(p.operation, value, partial[threadIdx.x + half * p.lanesInner]);
      partial[threadIdx.x] = value;
    }
  }
  if (!lane.valid || lane.n != 0) return;
  const size_t at = (static_cast<size_t>(lane.outer) * p.parts + lane.part) * p.inner + lane.inner;
  if (p.yType == FLOAT32) static_cast<float*>(p.y)[at] = static_cast<float>(value) / p.divisor;
  else if (p.yType == INT32) static_cast<int*>(p.y)[at] = static_cast<int>(value);
  else static_cast<uint8_t*>(p.y)[at] = static_cast<uint8_t>(value);
}

template <class T>
struct Best {
  T value;
  /** -1 until something was found. */
  int place;
};

template <class T>
__device__ inline Best<T> better(int smallest, Best<T> a, Best<T> b) {
  if (b.place < 0) return a;
  if (a.place < 0) return b;
  if (a.value == b.value) return a.place < b.place ? a : b;
  return (smallest ? b.value < a.value : b.value > a.value) ? b : a;
}

template <class T>
__device__ inline void arg_reduce(const ArgReduceParams& p) {
  __shared__ T values[256];
  __shared__ int places[256];
  const Lane lane = lane_of(p);
  Best<T> best = {T(0), -1};
  const size_t start = static_cast<size_t>(lane.outer) * p.length * p.inner + lane.inner;
  if (lane.valid) {
    const size_t first = static_cast<size_t>(lane.outer) * p.n * p.inner + lane.inner;
#pragma unroll 2
    for (int n = lane.from; n < lane.to; n += p.lanesN) {
      const int place = p.candidates == nullptr ? n : p.candidates[first + static_cast<size_t>(n) * p.inner];
      const T value = load(p.x, p.xType, start + static_cast<size_t>(place) * p.inner, T());
      if (value == value) best = better(p.smallest, best, {value, place});
    }
  }
  values[threadIdx.x] = best.value, places[threadIdx.x] = best.place;
#pragma unroll 1
  for (int half = p.lanesN / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane.n < half) {
      const int other = threadIdx.x + half * p.lanesInner;
      best = better(p.smallest, best, {values[other], places[other]});
      values[threadIdx.x] = best.value, places[threadIdx.x] = best.place;
    }
  }
  if (!lane.valid || lane.n != 0) return;
  // Nothing is larger than a NaN that the search starts with.
  const T head = load(p.x, p.xType, start, T());
  p.y[(static_cast<size_t>(lane.outer) * p.parts + lane.part) * p.inner + lane.inner] = best.place < 0 || head != head ? 0 : best.place;
}

/** Place n of the direction in which is summed. */
__device__ inline size_t turned(const CumsumParams& p, unsigned line, int n) {
  const unsigned outer = line / p.inner, inner = line % p.inner;
  return (static_cast<size_t>(outer) * p.n + (p.reverse ? p.n - 1 - n : n)) * p.inner + inner;
}

/** A thread for each line: sums in the order of TensorFlow.js. */
template <class T>
__device__ inline void cumsum_line(const CumsumParams& p) {
  const unsigned lines = static_cast<unsigned>(p.outer) * p.inner, step = gridDim.x * blockDim.x;
  for (unsigned line = blockIdx.x * blockDim.x + threadIdx.x; line < lines; line += step) {
    T sum = T(0);
    size_t at = turned(p, line, 0);
    const long long stride = p.reverse ? -static_cast<long long>(p.inner) : p.inner;
#pragma unroll 1
    for (int n = 0; n < p.n; n++, at += stride) {
      const T value = load(p.x, p.xType, at, T());
      const T next = n == 0 ? value : add(sum, value);
      static_cast<T*>(p.y)[at] = p.exclusive ? sum : next;
      sum = next;
    }
  }
}

/** A block for each line: 256 elements at a time, and what came before them is carried on. */
template <class T>
__device__ inline void cumsum_row(const CumsumParams& p) {
  __shared__ T sums[256];
  const int thread = threadIdx.x;
  const unsigned lines = static_cast<unsigned>(p.outer) * p.inner;
  for (unsigned line = blockIdx.x; line < lines; line += gridDim.x) {
    T carried = T(0);
    for (int start = 0; start < p.n; start += 256) {
      const int n = start + thread;
      const size_t at = n < p.n ? turned(p, line, n) : 0;
      const T value = n < p.n ? load(p.x, p.xType, at, T()) : T(0);
      T sum = value;
      sums[thread] = sum;
      __syncthreads();
#pragma unroll 1
      for (int distance = 1; distance < 256; distance *= 2) {
        const T before = thread >= distance ? sums[thread - distance] : T(0);
        __syncthreads();
        if (thread >= distance) sum = add(before, sum);
        sums[thread] = sum;
        __syncthreads();
      }
      const T previous = thread > 0 ? sums[thread - 1] : T(0), total = sums[255];
      if (n < p.n) static_cast<T*>(p.y)[at] = add(carried, p.exclusive ? previous : sum);
      carried = add(carried, total);
      __syncthreads();
    }
  }
}

}  // namespace

KERNEL(reduce_f32, ReduceParams, 256) { reduce<float>(p); }
KERNEL(reduce_int, ReduceParams, 256) { reduce<int>(p); }
KERNEL(arg_reduce_f32, ArgReduceParams, 256) { arg_reduce<float>(p); }
KERNEL(arg_reduce_int, ArgReduceParams, 256) { arg_reduce<int>(p); }
KERNEL(cumsum_line_f32, CumsumParams, 256) { cumsum_line<float>(p); }
KERNEL(cumsum_line_int, CumsumParams, 256) { cumsum_line<int>(p); }
KERNEL(cumsum_row_f32, CumsumParams, 256) { cumsum_row<float>(p); }
KERNEL(cumsum_row_int, CumsumParams, 256) { cumsum_row<int>(p); }

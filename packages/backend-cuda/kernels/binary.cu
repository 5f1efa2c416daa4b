// Functions of two operands with broadcasting, scaling with shifts, and constants. binary_int computes in float64 like JavaScript.
#include "kernel.h"
#include "elementwise.cuh"

namespace {

__device__ inline float rest_of(float a, float b) { return fmodf(a, b); }
/** Of whole numbers of 32 bits. */
__device__ inline double rest_of(double a, double b) {
  if (b == 0) return NAN;
  return b == -1 ? 0 : static_cast<int>(a) % static_cast<int>(b);
}

template <class T>
__device__ inline T remainder_of_floor(T a, T b) {
  const T rest = rest_of(a, b);
  if ((a < T(0) && b < T(0)) || (a >= T(0) && b >= T(0))) return rest;
  // Of opposite signs: rest + b lies between 0 and b. In float64, as TensorFlow.js adds them; equal to b it is a whole turn, which is 0; NaN and infinities become NaN.
  const double sum = static_cast<double>(rest) + static_cast<double>(b);
  return static_cast<T>(fabs(sum) < fabs(static_cast<double>(b)) ? sum : sum - b);
}

__device__ inline float power(float a, float b) {
  // C gives 1 for these.
  if (b != b || (fabsf(a) == 1.0f && b - b != b - b)) return NAN;
  return powf(a, b);
}

/** Of whole numbers; exact as long as float64 holds the power. */
__device__ inline double power(double a, double b) {
  const bool inverse = b < 0;
  uint32_t exponent = static_cast<uint32_t>(fabs(b));
  double result = 1;
  for (; exponent != 0; exponent >>= 1, a *= a)
    if (exponent & 1) result *= a;
  return inverse ? 1 / result : result;
}

template <class T>
__device__ inline T largest(T a, T b) {
  if (a == b) return signbit(a) ? b : a;
  return a != a || a > b ? a : b;
}

template <class T>
__device__ inline T smallest(T a, T b) {
  if (a == b) return signbit(a) ? a : b;
  return a != a || a < b ? a : b;
}

/**
 * The whole part of a quotient, as an int32. In float64, since the quotient of float32 may round up to a whole number that the true one does not reach; of float32 operands the
 * result is its bits, as float32 does not hold every whole number.
 */
__device__ inline float floor_quotient(float a, float b) {
  const int whole = to_int32(floor(static_cast<double>(a) / static_cast<double>(b)));
  float bits;
  memcpy(&bits, &whole, 4);
  return bits;
}
__device__ inline double floor_quotient(double a, double b) { return floor(a / b); }

#define SHORT_CASE(code, expression)              \
  case code:                                      \
    _Pragma("unroll") for (int i = 0; i < 4; i++) { \
      const T x = a[i], y = b[i];                 \
      a[i] = (expression);                        \
    }                                             \
    break
/** Long functions stand there once and the elements come round to them, since an index that is not known when compiling would put them into memory. */
#define CASE(code, expression)                    \
  case code:                                      \
    _Pragma("unroll 1") for (int i = 0; i < 4; i++) { \
      const T x = a[0], y = b[0];                 \
      a[0] = a[1], a[1] = a[2], a[2] = a[3];      \
      b[0] = b[1], b[1] = b[2], b[2] = b[3];      \
      a[3] = (expression);                        \
    }                                             \
    break
#define TRUTH(condition) ((condition) ? T(1) : T(0))

/** a = a op b; b may be left in any order. */
template <class T>
__device__ inline void apply(int operation, T (&a)[4], T (&b)[4]) {
  switch (operation) {
    SHORT_CASE(BINARY_ADD, x + y);
    SHORT_CASE(BINARY_SUB, x - y);
    SHORT_CASE(BINARY_REVERSE_SUB, y - x);
    SHORT_CASE(BINARY_MUL, x * y);
    CASE(BINARY_DIV, x / y);
    SHORT_CASE(BINARY_MAX, largest(x, y));
    SHORT_CASE(BINARY_MIN, smallest(x, y));
    SHORT_CASE(BINARY_SQUARED_DIFFERENCE, (x - y) * (x - y));
    SHORT_CASE(BINARY_EQUAL, TRUTH(x == y));
    SHORT_CASE(BINARY_NOT_EQUAL, TRUTH(x != y));
    SHORT_CASE(BINARY_LESS, TRUTH(x < y));
    SHORT_CASE(BINARY_LESS_EQUAL, TRUTH(x <= y));
    SHORT_CASE(BINARY_GREATER, TRUTH(x > y));
    SHORT_CASE(BINARY_GREATER_EQUAL, TRUTH(x >= y));
    SHORT_CASE(BINARY_AND, truthy(x) ? y : x);
    SHORT_CASE(BINARY_OR, truthy(x) ? x : y);
    SHORT_CASE(BINARY_PRELU, x < T(0) ? y * x : x);
    // x is dy, y is the output of elu.
    SHORT_CASE(BINARY_ELU_GRAD, y >= T(0) ? x : x * (y + T(1)));
    CASE(BINARY_FLOOR_DIV, floor_quotient(x, y));
    CASE(BINARY_MOD, remainder_of_floor(x, y));
    CASE(BINARY_POW, power(x, y));
    default:
      if constexpr (sizeof(T) == 4) {
        switch (operation) { CASE(BINARY_ATAN2, atan2f(x, y)); }
      }
  }
}


/** Offsets of element n in both operands. */
__device__ inline void locate(const BinaryParams& p, unsigned n, size_t* a, size_t* b) {
  size_t atA = 0, atB = 0;
  for (int axis = p.rank - 1; axis > 0; axis--) {
    const unsigned rest = divide(n, p.multiplier[axis], p.shift[axis]), index = n - rest * p.size[axis];
    atA += static_cast<size_t>(index) * p.aStride[axis];
    atB += static_cast<size_t>(index) * p.bStride[axis];
    n = rest;
  }
  *a = atA + static_cast<size_t>(n) * p.aStride[0];
  *b = atB + static_cast<size_t>(n) * p.bStride[0];
}

/** Reads four elements of one operand, `stride` 0 or 1 along the last axis. */
__device__ inline void read_row(const void* x, int, size_t at, int stride, int count, bool vector, float (&v)[4]) {
  if (stride == 1) {
    load4(x, at, count, vector && count == 4, v);
  } else {
    const float value = static_cast<const float*>(x)[at];
    for (int i = 0; i < 4; i++) v[i] = value;
  }
}
__device__ inline void read_row(const void* x, int type, size_t at, int stride, int count, bool, double (&v)[4]) {
  load4_int(x, type, at, stride == 1 ? count : 1, v);
  if (stride == 0) v[1] = v[2] = v[3] = v[0];
}
__device__ inline float read_one(const void* x, int, size_t at, float) { return static_cast<const float*>(x)[at]; }
__device__ inline double read_one(const void* x, int type, size_t at, double) {
  return type == INT32 ? static_cast<double>(static_cast<const int*>(x)[at]) : static_cast<const uint8_t*>(x)[at];
}

template <class T>
__device__ inline void run(const BinaryParams& p) {
  const int last = p.rank - 1;
  // These are the bits of int32 already.
  const int yType = sizeof(T) == 4 && p.operation == BINARY_FLOOR_DIV ? FLOAT32 : p.yType;
  // Four results lie in one row, or there is but one row.
  const bool rows = last == 0 || p.size[last] % 4 == 0;
  const bool vectorA = aligned16(p.a), vectorB = aligned16(p.b), vectorY = aligned16(p.y);
  const unsigned quads = (static_cast<unsigned>(p.count) + 3) / 4;
  for (unsigned q = blockIdx.x * blockDim.x + threadIdx.x; q < quads; q += gridDim.x * blockDim.x) {
    const int at = static_cast<int>(4 * q), count = p.count - at < 4 ? p.count - at : 4;
    T a[4], b[4];
    size_t atA, atB;
    if (rows) {
      locate(p, at, &atA, &atB);
      read_row(p.a, p.type, atA, p.aStride[last], count, vectorA, a);
      read_row(p.b, p.type, atB, p.bStride[last], count, vectorB, b);
    } else {
      for (int i = 0; i < 4; i++) {
        if (i < count) locate(p, at + i, &atA, &atB);
        a[i] = read_one(p.a, p.type, atA, T());
        b[i] = read_one(p.b, p.type, atB, T());
      }
    }
    apply(p.operation, a, b);
    if (p.clamp != CLAMP_NONE)
      for (int i = 0; i < 4; i++) a[i] = clamp_activation(p.clamp, a[i]);
    store4(p.y, yType, at, count, vectorY && count == 4, a);
  }
}

}  // namespace

KERNEL(binary_f32, BinaryParams, 256) { run<float>(p); }

KERNEL(binary_int, BinaryParams, 256) { run<double>(p); }

KERNEL(scale_shift, ScaleShiftParams, 256) {
  const bool rows = p.channels % 4 == 0 && aligned16(p.x) && aligned16(p.y) && aligned16(p.scale) && aligned16(p.shift);
  const unsigned channels = static_cast<unsigned>(p.channels), quads = (static_cast<unsigned>(p.count) + 3) / 4;
  for (unsigned q = blockIdx.x * blockDim.x + threadIdx.x; q < quads; q += gridDim.x * blockDim.x) {
    const int at = static_cast<int>(4 * q), count = p.count - at < 4 ? p.count - at : 4;
    const unsigned channel = static_cast<unsigned>(at) % channels;
    float x[4], scale[4], shift[4];
    load4(p.x, at, count, rows, x);
    if (rows) {
      load4(p.scale, channel, 4, true, scale);
      load4(p.shift, channel, 4, true, shift);
    } else {
      for (int i = 0; i < 4; i++) {
        const unsigned c = (channel + i) % channels;
        scale[i] = p.scale[c], shift[i] = p.shift[c];
      }
    }
    for (int i = 0; i < 4; i++) x[i] = clamp_activation(p.clamp, x[i] * scale[i] + shift[i]);
    store4(p.y, FLOAT32, at, count, rows, x);
  }
}

KERNEL(fill, FillParams, 256) {
  const unsigned step = gridDim.x * blockDim.x;
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < static_cast<unsigned>(p.count); i += step) {
    if (p.bytes == 4) static_cast<uint32_t*>(p.y)[i] = p.bits;
    else static_cast<uint8_t*>(p.y)[i] = static_cast<uint8_t>(p.bits);
  }
}

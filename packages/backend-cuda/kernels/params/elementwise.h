// Parameters of the kernels that work element by element, and the codes they are told by (src/kernels/codes.ts holds the same).
#pragma once

enum ElementType { FLOAT32 = 0, INT32 = 1, BOOL = 2 };

enum UnaryCode {
  UNARY_COPY = 0,
  UNARY_NOT_ZERO = 1,
  UNARY_ABS = 2,
  UNARY_NEG = 3,
  UNARY_EXP = 4,
  UNARY_EXPM1 = 5,
  UNARY_LOG1P = 6,
  UNARY_SQUARE = 7,
  UNARY_RELU = 8,
  UNARY_RELU6 = 9,
  UNARY_SELU = 10,
  UNARY_LEAKYRELU = 11,
  UNARY_SOFTPLUS = 12,
  UNARY_SIGN = 13,
  UNARY_RECIPROCAL = 14,
  UNARY_CLIP = 15,
  UNARY_STEP = 16,
  UNARY_LOGICAL_NOT = 17,
  // From here on of float32 alone.
  UNARY_FLOAT_ALONE = 32,
  UNARY_FLOOR = 32,
  UNARY_CEIL = 33,
  UNARY_ROUND = 34,
  UNARY_IS_NAN = 35,
  UNARY_IS_INF = 36,
  UNARY_IS_FINITE = 37,
  UNARY_LOG = 38,
  UNARY_SQRT = 39,
  UNARY_RSQRT = 40,
  UNARY_SIGMOID = 41,
  UNARY_TANH = 42,
  UNARY_ELU = 43,
  UNARY_SIN = 44,
  UNARY_COS = 45,
  UNARY_TAN = 46,
  UNARY_ERF = 47,
  UNARY_SILU = 48,
};

enum BinaryCode {
  BINARY_ADD = 0,
  BINARY_SUB = 1,
  BINARY_MUL = 2,
  BINARY_DIV = 3,
  BINARY_FLOOR_DIV = 4,
  BINARY_MOD = 5,
  BINARY_POW = 6,
  BINARY_MAX = 7,
  BINARY_MIN = 8,
  BINARY_SQUARED_DIFFERENCE = 9,
  BINARY_ATAN2 = 10,
  BINARY_EQUAL = 11,
  BINARY_NOT_EQUAL = 12,
  BINARY_LESS = 13,
  BINARY_LESS_EQUAL = 14,
  BINARY_GREATER = 15,
  BINARY_GREATER_EQUAL = 16,
  BINARY_AND = 17,
  BINARY_OR = 18,
  BINARY_PRELU = 19,
  BINARY_ELU_GRAD = 20,
  BINARY_REVERSE_SUB = 21,
};

enum ClampCode { CLAMP_NONE = 0, CLAMP_RELU = 1, CLAMP_RELU6 = 2 };

/** y[i] = f(x[i]). */
struct UnaryParams {
  const void* x;
  void* y;
  int count;
  /** UnaryCode. */
  int operation;
  /** ElementType of each; unary_f32 reads float32 only, unary_int the other two. */
  int xType;
  int yType;
  /** A slope, a limit or whatever the operation takes, each as the sum of two floats, since limits of int32 need more than one holds. */
  float alpha;
  float alphaRest;
  float beta;
  float betaRest;
};

/** y[i] = clamp(a[..] op b[..]), with one stride per merged axis and operand; 0 repeats the operand along the axis. */
struct BinaryParams {
  const void* a;
  const void* b;
  void* y;
  int count;
  /** BinaryCode. */
  int operation;
  /** ElementType of both operands; binary_f32 reads float32 only, binary_int the other two. */
  int type;
  int yType;
  /** ClampCode. */
  int clamp;
  int rank;
  /** Outermost first. The last axis has strides 0 or 1. */
  unsigned size[8];
  /** Division by size: (n * multiplier) >> shift. */
  unsigned multiplier[8];
  unsigned shift[8];
  int aStride[8];
  int bStride[8];
};

/** y[i] = clamp(x[i] * scale[i % channels] + shift[i % channels]), float32. */
struct ScaleShiftParams {
  const float* x;
  const float* scale;
  const float* shift;
  float* y;
  int count;
  int channels;
  /** ClampCode. */
  int clamp;
};

/** Writes the same element everywhere. */
struct FillParams {
  void* y;
  int count;
  /** Bytes of an element, 1 or 4, and its bits. */
  int bytes;
  unsigned bits;
};

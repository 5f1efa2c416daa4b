// Parameters of reductions. A tensor is seen as [outer, n, inner], and n goes.
#pragma once

enum ReduceCode { REDUCE_SUM = 0, REDUCE_PROD = 1, REDUCE_MAX = 2, REDUCE_MIN = 3, REDUCE_ALL = 4, REDUCE_ANY = 5 };

/**
 * y[outer, parts, inner]. A block has lanes along inner, along n and along outer, powers of two whose product is 256; a second launch reduces the parts, so that the order of
 * every sum depends on the shape alone.
 */
struct ReduceParams {
  const void* x;
  void* y;
  int outer;
  int n;
  int inner;
  /** Pieces of n, and the elements of each but the last. */
  int parts;
  int chunk;
  int lanesInner;
  int lanesN;
  /** ReduceCode. */
  int operation;
  /** ElementType. */
  int xType;
  int yType;
  /** float32 results are divided by it. */
  float divisor;
};

/**
 * y[outer, parts, inner] int32: where along n the largest (smallest) value lies, the first of equals. NaN never wins, but at place 0 it does, as in TensorFlow.js. With `candidates`
 * ([outer, n, inner] int32, places along an axis of length `length`) only those are looked at.
 */
struct ArgReduceParams {
  const void* x;
  const int* candidates;
  int* y;
  int outer;
  int n;
  int inner;
  int length;
  int parts;
  int chunk;
  int lanesInner;
  int lanesN;
  /** 1 looks for the smallest. */
  int smallest;
  /** ElementType. */
  int xType;
};

/** Running sums along the middle axis of [outer, n, inner], in its own type; bool counts as int32. */
struct CumsumParams {
  const void* x;
  void* y;
  int outer;
  int n;
  int inner;
  int exclusive;
  int reverse;
  /** ElementType. */
  int xType;
};

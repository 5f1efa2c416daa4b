// Parameters of the kernels that look elements up.
#pragma once

/** y[batch, outer, i, slice] = x[batch, outer, indices[batch, i], slice] in units of 1, 4 or 16 bytes; zeros where an index is out of range. */
struct GatherParams {
  const void* x;
  const int* indices;
  void* y;
  int count;
  int batch;
  int outer;
  /** Length of the axis that is looked up, and indices of one batch entry. */
  int length;
  int indexCount;
  int slice;
};

/** y[i, depth], `on` at the index and `off` elsewhere. */
struct OneHotParams {
  const int* indices;
  void* y;
  int count;
  int depth;
  /** Bytes of an element, 1 or 4, and the bits of the two. */
  int bytes;
  unsigned on;
  unsigned off;
};

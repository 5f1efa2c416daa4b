// Parameters of sorting.
#pragma once

/** The k largest of each row, the first of equals, in order. NaN counts as larger than every number. */
struct TopKParams {
  const void* x;
  void* values;
  int* indices;
  int rows;
  int length;
  int k;
  /** Keys in shared memory, a power of two: all of a row, or twice the number that is kept (at least k). */
  int capacity;
  /** ElementType. */
  int type;
};

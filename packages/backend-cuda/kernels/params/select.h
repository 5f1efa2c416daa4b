// Parameters of the choice between two tensors.
#pragma once

/** y[i] = condition[i / inner] ? t[i] : e[i], whatever the elements are. */
struct SelectParams {
  const uint8_t* condition;
  const void* t;
  const void* e;
  void* y;
  int count;
  /** Elements that share one condition. */
  int inner;
  /** Bytes of an element of t, e and y, 1 or 4. */
  int bytes;
};

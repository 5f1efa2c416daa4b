// Parameters of the kernels that measure what a device can do at most.
#pragma once

struct PeaksParams {
  const float* from;
  float* to;
  /** Numbers to copy, in units of four. */
  unsigned quads;
  /** Turns of the loop. */
  int turns;
};

// Parameters of products of float32 matrices, and of the sums of their shares.
#pragma once

/** y[i] = act(a[i] b[i] + bias + residual) for every matrix i of a batch. Epilogue: conv_epilogue.cuh. */
struct GemmParams {
  const float* a;
  const float* b;
  float* y;
  /** [splits, batch, m, n] where splits is above 1, else 0. */
  float* partial;
  /** 0 where there is none. */
  const float* bias;
  /** Like y; 0 where there is none. */
  const float* residual;
  const float* slopes;
  /** 1: a value per column; 0: one for all. */
  int biasStep;
  int slopesStep;
  int activation;
  float alpha;
  int m;
  int n;
  int k;
  /** Whether a is [k, m] and b is [n, k] in memory. */
  int transposeA;
  int transposeB;
  /** Matrices of y along each axis of the batch, and how many matrices of a and b lie between neighbours there; 0 repeats. */
  int batchShape[4];
  int aSteps[4];
  int bSteps[4];
  /** Tiles of columns and rows. */
  int tilesN;
  int tilesM;
  /** Matrices of y. */
  int batch;
  /** Blocks that share the depth of a tile, and the depth of each: a multiple of 8. */
  int splits;
  int splitDepth;
};

/** y[i, c] = act(Σ_s partial[s, i, c] + bias + residual), summed in the order of s. */
struct GemmFinishParams {
  const float* partial;
  float* y;
  const float* bias;
  const float* residual;
  const float* slopes;
  int biasStep;
  int slopesStep;
  int activation;
  float alpha;
  /** Rows and columns of y. */
  unsigned rows;
  int columns;
  int splits;
};

// Parameters of the kernels that move elements. A unit is 1, 4 or 16 bytes: elements that stay side by side move together.
#pragma once

/** y[Σ i yStride] = x[Σ i xStride] for every index i below size, in units. */
struct CopyStridedParams {
  const void* x;
  void* y;
  int count;
  int rank;
  unsigned size[8];
  /** Division by size: (n * multiplier) >> shift. */
  unsigned multiplier[8];
  unsigned shift[8];
  int xStride[8];
  int yStride[8];
};

/** [batch, rows, columns] → [batch, columns, rows] in units. */
struct TransposeParams {
  const void* x;
  void* y;
  int batch;
  int rows;
  int columns;
  /** Tiles of 32 along either axis. */
  int rowTiles;
  int columnTiles;
};

enum PadMode { PAD_CONSTANT = 0, PAD_REFLECT = 1, PAD_SYMMETRIC = 2 };

/** A tensor with a border, in units. */
struct PadParams {
  const void* x;
  void* y;
  int count;
  int rank;
  /** Of the output. */
  unsigned size[8];
  unsigned multiplier[8];
  unsigned shift[8];
  int xSize[8];
  int before[8];
  int xStride[8];
  /** PadMode. */
  int mode;
  /** Bits of four bytes of the constant. */
  unsigned bits;
};

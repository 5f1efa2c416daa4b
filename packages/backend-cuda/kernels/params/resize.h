// Parameters of resizing NHWC images.
#pragma once

/**
 * Image x [batch, xHeight, xWidth, channels] and image y. The gradients read y and write x. A place r of y is read at ratio * r (or ratio * (r + 0.5) with half pixels), where ratio is
 * xSpan / ySpan, computed in float64 as TensorFlow.js does.
 */
struct ResizeParams {
  const void* from;
  void* to;
  int batch;
  int xHeight;
  int xWidth;
  int yHeight;
  int yWidth;
  /** For the nearest neighbour units of 1, 4 or 16 bytes. */
  int channels;
  int xSpanHeight;
  int xSpanWidth;
  int ySpanHeight;
  int ySpanWidth;
  int alignCorners;
  int halfPixelCenters;
  /** ElementType of the source of bilinear; the others do not read it. */
  int type;
};

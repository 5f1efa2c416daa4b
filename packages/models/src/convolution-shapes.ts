import { type ConvGeometry, resolveGeometry } from '@dsconv/core';
import {
  type Architecture,
  type LayerKind,
  type LayerRole,
  type LayerSpec,
  outChannels,
} from './architecture.js';
import { pooledSize } from './pooling.js';

/** The loop nest of one layer for one picture. */
export interface ConvolutionShape {
  name: string;
  kind: Exclude<LayerKind, 'norm'>;
  role: LayerRole;
  /** As {@link LayerSpec.shape}. */
  shape: LayerSpec['shape'];
  /** Sizes, strides and padding, batch 1. */
  geometry: ConvGeometry;
  /** Multiply-accumulates. */
  macs: number;
}

/** In pixels. */
export interface PictureSize {
  height: number;
  width: number;
}

/**
 * The convolutions of an architecture, dense layers among them, with the sizes they have for one input.
 *
 * @param inputSize of the picture in pixels, a square where it is a number; default the architecture's own
 * @throws InvalidArgumentError when the picture is too small for a layer
 */
export function convolutionShapes(
  architecture: Architecture,
  inputSize: number | PictureSize = architecture.inputSize,
): ConvolutionShape[] {
  const picture = typeof inputSize === 'number' ? { height: inputSize, width: inputSize } : inputSize;
  const outputs = new Map<string | null, PictureSize>([[null, picture]]);
  return architecture.layers.flatMap((layer): ConvolutionShape[] => {
    const { name, kind, role, shape, strides, pad } = layer;
    const { height, width } = pooledSize(outputs.get(layer.input.layer)!, layer.input.pool);
    if (kind === 'norm') {
      outputs.set(name, { height, width });
      return [];
    }
    const [kh, kw, inner] = shape;
    const geometry = resolveGeometry({
      inputShape: [1, height, width, inner],
      kernelSize: [kh, kw],
      outChannels: outChannels(layer),
      strides,
      pad,
    });
    const { outHeight, outWidth } = geometry;
    outputs.set(name, { height: outHeight, width: outWidth });
    const perPixel = kh * kw * (kind === 'depthwise' ? 1 : inner) * outChannels(layer);
    return [{ name, kind, role, shape, geometry, macs: outHeight * outWidth * perPixel }];
  });
}

import { type ConvGeometry, resolveGeometry } from '@dsconv/core';
import {
  type Architecture,
  type LayerInput,
  type LayerKind,
  type LayerRole,
  type LayerSpec,
  outChannels,
} from './architecture.js';

/** The loop nest of one layer for one picture. */
export interface ConvolutionShape {
  name: string;
  kind: LayerKind;
  role: LayerRole;
  /** As {@link LayerSpec.shape}. */
  shape: LayerSpec['shape'];
  /** Sizes, strides and padding, batch 1. */
  geometry: ConvGeometry;
  /** Multiply-accumulates. */
  macs: number;
}

/**
 * The layers of an architecture with the sizes they have for a square input.
 *
 * @param inputSize side of the picture in pixels; default the architecture's own
 * @throws InvalidArgumentError when the picture is too small for a layer
 */
export function convolutionShapes(
  architecture: Architecture,
  inputSize: number = architecture.inputSize,
): ConvolutionShape[] {
  const outputs = new Map<string | null, { height: number; width: number }>([
    [null, { height: inputSize, width: inputSize }],
  ]);
  return architecture.layers.map((layer) => {
    const { name, kind, role, shape, strides, pad } = layer;
    const { height, width } = pooled(outputs.get(layer.input.layer)!, layer.input);
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
    return { name, kind, role, shape, geometry, macs: outHeight * outWidth * perPixel };
  });
}

type Size = { height: number; width: number };

function pooled({ height, width }: Size, { pool }: LayerInput): Size {
  if (pool === undefined) return { height, width };
  if (pool === 'global') return { height: 1, width: 1 };
  const side = (input: number): number => Math.floor((input + 2 * pool.pad - pool.size) / pool.strides) + 1;
  return { height: side(height), width: side(width) };
}

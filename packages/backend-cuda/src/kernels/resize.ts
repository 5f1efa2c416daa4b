/** `ResizeBilinear`, `ResizeNearestNeighbor` and their gradients. */
import {
  ResizeBilinear,
  ResizeBilinearGrad,
  ResizeNearestNeighbor,
  ResizeNearestNeighborGrad,
  type TensorInfo,
} from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import { packResize } from '../device/params.js';
import { bytesPerElement, type DeviceDataType, isDeviceType } from '../device/transfers.js';
import { runOnHost } from '../fallback.js';
import { gridFor, product, THREADS, TYPE_CODE } from './axes.js';
import { inUnits } from './copy.js';

interface ResizeAttributes {
  alignCorners: boolean;
  halfPixelCenters?: boolean;
  /** Height and width. */
  size: [number, number];
}

/** What places are counted by: with aligned corners the first and last pixels of both images coincide. */
function spans(x: number, y: number, alignCorners: boolean): [x: number, y: number] {
  return alignCorners && y > 1 ? [x - 1, y - 1] : [x, y];
}

/** Fields of ResizeParams for images of these NHWC shapes, of which y is read at places of x. */
function resizeFields(x: readonly number[], y: readonly number[], attrs: ResizeAttributes) {
  const [batch, xHeight, xWidth, channels] = x as [number, number, number, number];
  const [, yHeight, yWidth] = y as [number, number, number, number];
  const [xSpanHeight, ySpanHeight] = spans(xHeight, yHeight, attrs.alignCorners);
  const [xSpanWidth, ySpanWidth] = spans(xWidth, yWidth, attrs.alignCorners);
  return {
    batch,
    xHeight,
    xWidth,
    yHeight,
    yWidth,
    channels,
    xSpanHeight,
    xSpanWidth,
    ySpanHeight,
    ySpanWidth,
    alignCorners: attrs.alignCorners ? 1 : 0,
    halfPixelCenters: attrs.halfPixelCenters ? 1 : 0,
    type: TYPE_CODE.float32,
  };
}

function resize(call: KernelArguments<ResizeAttributes>, bilinear: boolean): TensorInfo | TensorInfo[] {
  const { inputs, backend, attrs } = call;
  const images = inputs.images!;
  const { dtype } = images;
  if (!isDeviceType(dtype)) {
    return runOnHost(bilinear ? ResizeBilinear : ResizeNearestNeighbor, call as unknown as KernelArguments);
  }
  const shape = [images.shape[0]!, ...attrs.size, images.shape[3]!];
  const fields = resizeFields(images.shape, shape, attrs);
  const result: DeviceDataType = bilinear ? 'float32' : dtype;
  return backend.make(shape, result, (y) => {
    const { address: from, size } = backend.tensor(images);
    if (y.size === 0 || size === 0) return;
    const bytes = bytesPerElement(dtype);
    const pixel = [{ size: fields.channels, strides: [1, 1] }];
    const { unit, axes } = bilinear ? { unit: 4, axes: pixel } : inUnits(bytes, pixel, [from, y.address]);
    const channels = axes[0]!.size;
    backend.launch({
      kernel: bilinear ? 'resize_bilinear' : `resize_nearest_${unit}`,
      grid: gridFor(backend, (y.size / fields.channels) * channels),
      threads: THREADS,
      params: packResize({ ...fields, from, to: y.address, channels, type: TYPE_CODE[dtype] }),
    });
  });
}

function gradient(
  call: KernelArguments<ResizeAttributes>,
  kernelName: string,
  kernel: string,
): TensorInfo | TensorInfo[] {
  const { inputs, backend, attrs } = call;
  const [images, dy] = [inputs.images!, inputs.dy!];
  if (dy.dtype !== 'float32') return runOnHost(kernelName, call as unknown as KernelArguments);
  return backend.make(images.shape, 'float32', (dx) => {
    if (dx.size === 0) return;
    // Without anything that was read from it an image has no influence.
    if (product(dy.shape) === 0) {
      backend.fill32(dx.address, 0, dx.size);
      return;
    }
    backend.launch({
      kernel,
      grid: gridFor(backend, dx.size),
      threads: THREADS,
      params: packResize({
        // TensorFlow.js has no gradients with half pixels.
        ...resizeFields(images.shape, dy.shape, { ...attrs, halfPixelCenters: false }),
        from: backend.tensor(dy).address,
        to: dx.address,
      }),
    });
  });
}

export const resizeKernels: readonly CudaKernel[] = [
  kernelConfig<ResizeAttributes>(ResizeBilinear, (call) => resize(call, true)),
  kernelConfig<ResizeAttributes>(ResizeNearestNeighbor, (call) => resize(call, false)),
  kernelConfig<ResizeAttributes>(ResizeBilinearGrad, (call) =>
    gradient(call, ResizeBilinearGrad, 'resize_bilinear_gradient'),
  ),
  kernelConfig<ResizeAttributes>(ResizeNearestNeighborGrad, (call) =>
    gradient(call, ResizeNearestNeighborGrad, 'resize_nearest_gradient'),
  ),
];

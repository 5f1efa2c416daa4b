import { combinedScales, combinedShiftBias, type DSConvFilter } from '@dsconv/core';
import type { DSConvNative, PackedFilter } from '../../native/interface.js';

/** From a filter to the addon's own layout (native/README.md); the caller disposes of it. */
export function packFilter(native: DSConvNative, filter: DSConvFilter, groups: number): PackedFilter {
  const { bits, shape, blockSize: block, outChannels } = filter;
  const [kh, kw, inner] = shape;
  const common = { bits, q: filter.unpack(), taps: kh * kw, outChannels, block };
  if (filter.kind === 'depthwise') {
    const scales = filter.scales('cds')!;
    return native.packDSDepthwise({
      ...common,
      inDepth: 1,
      groups: 1,
      scales,
      perChannel: true,
      shiftBias: null,
    });
  }
  return native.packDSConv2d({
    ...common,
    inDepth: inner,
    groups,
    scales: combinedScales(filter),
    perChannel: filter.stored('kds') === undefined,
    shiftBias: combinedShiftBias(filter),
  });
}

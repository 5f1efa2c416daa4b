import type { DSConvFilter } from '@dsconv/core';
import type { DSConvNative, PackedFilter } from '../../native/interface.js';
import { combinedScales, combinedShiftBias } from '../filter-cache.js';

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
  const shiftBias = combinedShiftBias(filter);
  const scales = combinedScales(filter);
  const perChannel = filter.stored('kds') === undefined;
  // One scale per channel is applied to the finished sum, which a bias per block has no part in: such a filter is packed per block.
  const expand = perChannel && shiftBias !== null;
  return native.packDSConv2d({
    ...common,
    inDepth: inner,
    groups,
    scales: expand ? shiftBias.map((_, n) => scales[n % outChannels]!) : scales,
    perChannel: perChannel && !expand,
    shiftBias,
  });
}

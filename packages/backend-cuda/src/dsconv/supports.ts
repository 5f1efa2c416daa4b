/** What DSConv kernels of this backend take: everything that the operator does, up to the sizes that their counters hold. */
import { DS_DEPTHWISE_CONV2D, type DSConvSpec, type Support } from '@dsconv/core';
import { imageLayout } from '../layout/image.js';
import { containerBits } from '../layout/pack-filter.js';

/** Pixels, channels and bytes of one pixel are counted in 32 bits. */
const MOST = 2 ** 31 - 1;

/** Blocks of threads side by side in the directions y and z of a grid. */
const MOST_GRID_Y = 65535;

/** Pure: true, or one sentence on what is too large. */
export function supports(spec: DSConvSpec): Support {
  const { geometry: g, kernel, activationBits, blockSize, bits } = spec;
  const depthwise = kernel === DS_DEPTHWISE_CONV2D;
  const taps = g.kernelHeight * g.kernelWidth;
  const groups = depthwise ? 1 : g.groups;
  const depth = depthwise ? 1 : g.inChannels / groups;
  const inPixels = g.batch * g.inHeight * g.inWidth;
  const counts: Record<string, number> = {
    'input pixels': inPixels,
    'output pixels': g.batch * g.outHeight * g.outWidth,
    'weight words': (taps * (depth + 31) * (g.outChannels + 15 * groups) * containerBits(bits)) / 32,
  };
  if (activationBits !== null) {
    const layout = imageLayout(inPixels, g.inChannels, { bits: activationBits, blockSize, groups });
    counts['bytes of a quantized pixel'] = layout.pixelBytes;
    counts.scales = inPixels * groups * layout.blocks;
  }
  for (const [what, count] of Object.entries(counts)) {
    if (count > MOST) return { reason: `it has ${count} ${what}; kernels count at most ${MOST}` };
  }
  const tilesAcross = groups * Math.ceil(g.outChannels / groups / 32);
  if (!depthwise && tilesAcross > MOST_GRID_Y) {
    return {
      reason: `its ${g.outChannels} output channels in ${groups} groups are ${tilesAcross} tiles; a grid has at most ${MOST_GRID_Y}`,
    };
  }
  return true;
}

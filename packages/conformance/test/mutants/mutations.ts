/** The faults that the suite must find: one sentence each, switched on one at a time in the direct backend of this folder. */
export const MUTATIONS = {
  // Integer arithmetic
  saturatingPairs: 'products of unsigned weights are added in pairs that saturate at 16 bits',
  accumulator16: 'a block is summed in 16 bits',
  accumulator16Of64: '64 depths are summed in 16 bits before they are widened',
  threeBitsAsFour: '3-bit weights are read as 4-bit weights',
  twoBitsUnsigned: 'the sign of 2-bit weights is lost',
  // Blocks
  lastBlockFull: 'the last block is read as if it were full',
  lastBlockPreviousScale: 'a ragged last block takes the scale of the block before it',
  lastBlockDropped: 'a ragged last block is left out',
  blocksAcrossGroups: 'activation blocks run across the border of two groups',
  blocksOfDepthwiseIgnored: 'a depthwise convolution takes one exponent for all channels',
  // Rounding to block floating point
  roundHalfUp: 'halves are rounded up',
  roundHalfAway: 'halves are rounded away from zero',
  truncate: 'mantissas are truncated',
  clampLow: 'mantissas are clamped at -2^(m-1)',
  noClamp: 'mantissas wrap at eight bits instead of being clamped',
  exponentByLog2: 'the exponent is computed with a rounded logarithm',
  tinyBlocksKept: 'blocks below 2^-100 are not counted as zero',
  zeroBlockDivides: 'a block of zeros divides zero by zero',
  nanSwallowed: 'NaN counts as zero',
  infinitySwallowed: 'infinity counts as zero',
  activationBitsIgnored: 'activations always have 8 bits',
  floatActivationsQuantized: 'float activations are quantized to 8 bits',
  // Scales
  kdsTransposed: 'scales are read as [tap, o, block]',
  cdsTransposed: 'scales of a depthwise filter are read as [multiplier, channel]',
  kdsBiasIgnored: 'kdsBias is ignored',
  cdsIgnored: 'cds is ignored where kds is there',
  cdsBiasIgnored: 'cdsBias is ignored',
  cdsNotOnKdsBias: 'cds is not applied to kdsBias',
  kdsBiasOnPadding: 'the bias terms are added for padding too',
  scalesAsBfloat16: 'scales lose all but 8 bits of their significand',
  subnormalScalesFlushed: 'subnormal float16 scales count as zero',
  // Geometry
  paddingSwapped: 'top is swapped with bottom and left with right',
  paddingOffByOne: 'the left padding is one too many',
  paddingAsValue: 'padding repeats the border',
  dilationIgnored: 'dilation is ignored',
  stridesSwapped: 'vertical and horizontal stride are swapped',
  kernelTransposed: 'rows and columns of the filter are swapped',
  batchIgnored: 'every image of a batch is the first one',
  groupsInterleaved: 'output o belongs to group o % groups',
  groupsIgnored: 'every group reads the channels of the first',
  multiplierSwapped: 'output o of a depthwise convolution reads channel o % C',
  raggedChannels: 'output channels after the last multiple of 8 hold garbage',
  // Epilogue
  biasMissing: 'the bias is missing',
  biasAfterActivation: 'the bias is added after the activation',
  residualMissing: 'the residual is missing',
  residualAfterActivation: 'the residual is added after the activation',
  relu6WithoutCap: 'relu6 has no cap',
  nanLostInRelu: 'relu turns NaN into zero',
  siluApproximated: 'silu is approximated by hard swish',
  leakyAlphaFixed: 'leakyrelu always has slope 0.2',
  preluOfNextChannel: 'prelu takes the slope of the next channel',
  preluFirstSlope: 'prelu takes the first slope for all channels',
  outputFormatIgnored: 'outputFormat is ignored',
  outputFormatGroupsIgnored: 'outputFormat ignores groups',
  outputFormatTruncates: 'outputFormat truncates',
  // Behaviour
  staleCache: 'integers of a filter are kept by shape, not by filter',
  inputWritten: 'the input is overwritten with its quantized values',
  residualReused: 'the result is written over the residual',
  filterWritten: 'the packed integers are overwritten',
  notDeterministic: 'every second run differs in one bit',
  leak: 'a tensor is left behind by every call',
  onePixelOff: 'a single output is off by one part in a thousand',
} as const;

export type Mutation = keyof typeof MUTATIONS;

/** Asks whether a mutation is switched on. */
export type Switch = (mutation: Mutation) => boolean;

// What one convolution is told: shapes, the layouts of its buffers, its epilogue. The order is that of CALL_WORDS in call.ts.
struct Call {
  batch: u32,
  in_height: u32,
  in_width: u32,
  in_channels: u32,
  out_height: u32,
  out_width: u32,
  out_channels: u32,
  kernel_height: u32,
  kernel_width: u32,
  stride_height: u32,
  stride_width: u32,
  dilation_height: u32,
  dilation_width: u32,
  pad_top: i32,
  pad_left: i32,
  groups: u32,
  // batch * out_height * out_width
  pixels: u32,
  // Depth of one group: the input channels that one output channel reads.
  depth: u32,
  // Output channels of one group, and quads (groups of four) that hold them.
  group_outputs: u32,
  group_quads: u32,
  // The activations' image: channels per block, blocks of one group, words of a full block, of a group and of a pixel; where the scales begin.
  block: u32,
  blocks: u32,
  block_words: u32,
  group_words: u32,
  pixel_words: u32,
  scales_at: u32,
  // The filter: words of a full block and of all blocks of one tap (each word for one output channel).
  block_weight_words: u32,
  tap_weight_words: u32,
  // 1 when there is a scale per block (kds), 0 when per output channel; 1 when scales are float16; where shift biases begin, in words.
  scale_per_block: u32,
  scale_halves: u32,
  shift_at: u32,
  // Bits of a weight: 2, 4, 8, or 32 for float32.
  weight_bits: u32,
  // What one unit of the integer product stands for: weights stay in the upper bits of their bytes.
  unit: f32,
  // Depthwise: outputs per channel.
  multiplier: u32,
  // Epilogue: which optional inputs there are (1 bias, 2 residual as float32, 4 residual as an image), the activation's code and slope.
  inputs: u32,
  activation: u32,
  alpha: f32,
  // The residual's image, as the activations'.
  residual_block: u32,
  residual_words: u32,
  residual_scales_at: u32,
  // What is written: 1 float32, 2 an image. Before that the result is rounded where out_bits is not 0: the mantissa bits of that grid.
  writes: u32,
  out_bits: u32,
  out_block: u32,
  out_words: u32,
  out_scales_at: u32,
}

@group(0) @binding(0) var<uniform> call: Call;

// What a pipeline may be made for; ANY leaves it to the call. Branches that are not taken cost GPUs next to nothing, adapters that run on the CPU execute them all.
const ANY = 255u;
// No residual, and no activation but ReLU and ReLU6.
override PLAIN: bool = false;
override WRITES: u32 = ANY;
// 1 where call.out_bits is not 0.
override ROUNDS: u32 = ANY;
override WEIGHT_BITS: u32 = ANY;
// 1 where there are shift biases.
override SHIFTS: u32 = ANY;

fn writes() -> u32 {
  return select(WRITES, call.writes, WRITES == ANY);
}

fn rounds() -> bool {
  return select(ROUNDS, call.out_bits, ROUNDS == ANY) != 0u;
}

fn weight_bits() -> u32 {
  return select(WEIGHT_BITS, call.weight_bits, WEIGHT_BITS == ANY);
}

fn shifts() -> bool {
  return select(SHIFTS, call.shift_at, SHIFTS == ANY) != 0u;
}

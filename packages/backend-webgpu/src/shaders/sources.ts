/** Written by shaders.mjs from the .wgsl files beside it. Do not edit. */

export const BFP = `
const BIAS = 127u;
const LEAST_EXPONENT = 27u;
const NAN_BITS = 0x7fc00000u;
struct Grid {
scale: u32,
inverse_a: f32,
inverse_b: f32,
}
fn grid_of(peak: u32, bits: u32) -> Grid {
let exponent = peak >> 23u;
if (exponent == 255u) {
return Grid(NAN_BITS, 0.0, 0.0);
}
if (exponent < LEAST_EXPONENT) {
return Grid(0u, 0.0, 0.0);
}
let power = i32(bits) - 2 - (i32(exponent) - i32(BIAS));
let half = power / 2;
return Grid(
(exponent + 2u - bits) << 23u,
bitcast<f32>(u32(half + i32(BIAS)) << 23u),
bitcast<f32>(u32(power - half + i32(BIAS)) << 23u),
);
}
fn mantissa_of(x: f32, grid: Grid, bits: u32) -> i32 {
let limit = f32((1 << (bits - 1u)) - 1);
return i32(clamp(round((x * grid.inverse_a) * grid.inverse_b), -limit, limit));
}
fn mantissas_of(x: vec4<f32>, grid: Grid, bits: u32) -> vec4<i32> {
let limit = f32((1 << (bits - 1u)) - 1);
return vec4<i32>(clamp(round((x * grid.inverse_a) * grid.inverse_b), vec4<f32>(-limit), vec4<f32>(limit)));
}
fn magnitude(x: f32) -> u32 {
return bitcast<u32>(x) & 0x7fffffffu;
}
fn pack_bytes(m: vec4<i32>) -> u32 {
let b = vec4<u32>(m) & vec4<u32>(0xffu);
return b.x | (b.y * 0x100u) | (b.z * 0x10000u) | (b.w * 0x1000000u);
}
fn unpack_bytes(word: u32) -> vec4<f32> {
let tops = (vec4<u32>(word) * vec4<u32>(0x1000000u, 0x10000u, 0x100u, 1u)) & vec4<u32>(0xff000000u);
return vec4<f32>(bitcast<vec4<i32>>(tops)) * 5.9604644775390625e-8;
}
`;

export const BFP_QUANTIZE = `
struct Rows {
blocks: u32,
group_blocks: u32,
channels: u32,
depth: u32,
groups: u32,
block: u32,
bits: u32,
block_words: u32,
group_words: u32,
scales_at: u32,
}
override TO_IMAGE: bool = true;
@group(0) @binding(0) var<uniform> rows: Rows;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;
@group(0) @binding(3) var<storage, read_write> image: array<u32>;
fn element(at: u32) -> f32 {
if (TO_IMAGE) {
return x[at];
}
return result[at];
}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
let n = id.x + id.y * groups.x * 64u;
if (n >= rows.blocks) {
return;
}
let row = n / (rows.groups * rows.group_blocks);
let group = n / rows.group_blocks % rows.groups;
let block = n % rows.group_blocks;
let start = block * rows.block;
let count = min(rows.block, rows.depth - start);
let first = row * rows.channels + group * rows.depth + start;
var peak = 0u;
for (var i = 0u; i < count; i++) {
peak = max(peak, magnitude(element(first + i)));
}
let grid = grid_of(peak, rows.bits);
if (!TO_IMAGE) {
for (var i = 0u; i < count; i++) {
result[first + i] = f32(mantissa_of(result[first + i], grid, rows.bits)) * bitcast<f32>(grid.scale);
}
return;
}
image[rows.scales_at + n] = grid.scale;
let at = (row * rows.groups + group) * rows.group_words + block * rows.block_words;
for (var word = 0u; word < (count + 3u) / 4u; word++) {
var m = vec4<i32>(0);
for (var r = 0u; r < min(4u, count - 4u * word); r++) {
m[r] = mantissa_of(x[first + 4u * word + r], grid, rows.bits);
}
image[at + word] = pack_bytes(m);
}
}
`;

export const CALL = `
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
pixels: u32,
depth: u32,
group_outputs: u32,
group_quads: u32,
block: u32,
blocks: u32,
block_words: u32,
group_words: u32,
pixel_words: u32,
scales_at: u32,
block_weight_words: u32,
tap_weight_words: u32,
scale_per_block: u32,
scale_halves: u32,
shift_at: u32,
weight_bits: u32,
unit: f32,
multiplier: u32,
inputs: u32,
activation: u32,
alpha: f32,
residual_block: u32,
residual_words: u32,
residual_scales_at: u32,
writes: u32,
out_bits: u32,
out_block: u32,
out_words: u32,
out_scales_at: u32,
}
@group(0) @binding(0) var<uniform> call: Call;
`;

export const CONV_FLOAT = `
override FLOAT_WEIGHTS: bool = false;
@group(0) @binding(1) var<storage, read> activations: array<u32>;
@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_id) local: vec3<u32>,
) {
let pixel = ((group.z * groups.y + group.y) * WORKGROUP_Y + local.y) * 4u;
let quad = group.x * WORKGROUP_X + local.x;
let window = window_of(pixel);
let quads = call.groups * call.group_quads;
let q = min(quad, quads - 1u);
let first_channel = q / call.group_quads * call.depth;
let per_word = 32u / call.weight_bits;
var y0 = vec4<f32>(0.0);
var y1 = vec4<f32>(0.0);
var y2 = vec4<f32>(0.0);
var y3 = vec4<f32>(0.0);
for (var tap = 0u; tap < call.kernel_height * call.kernel_width; tap++) {
let taps = taps_of(window, tap / call.kernel_width, tap % call.kernel_width);
let first = taps.at * call.in_channels + first_channel;
for (var block = 0u; block < call.blocks; block++) {
var p0 = vec4<f32>(0.0);
var p1 = vec4<f32>(0.0);
var p2 = vec4<f32>(0.0);
var p3 = vec4<f32>(0.0);
let start = block * call.block;
let count = min(call.block, call.depth - start);
for (var i = 0u; i < count; i++) {
var w = vec4<f32>(0.0);
if (FLOAT_WEIGHTS) {
w = bitcast<vec4<f32>>(weights[(tap * call.depth + start + i) * quads + q]);
} else {
let r = i % per_word;
let left = 32u - call.weight_bits - (8u * (r % 4u) + call.weight_bits * (r / 4u));
let word = weights[weight_index(tap, block * call.block_weight_words + i / per_word, q)];
w = vec4<f32>((vec4<i32>(word) << vec4<u32>(left)) >> vec4<u32>(32u - call.weight_bits));
}
let at = first + start + i;
let x = select(
vec4<f32>(0.0),
bitcast<vec4<f32>>(vec4<u32>(activations[at.x], activations[at.y], activations[at.z], activations[at.w])),
taps.inside,
);
p0 += x.x * w;
p1 += x.y * w;
p2 += x.z * w;
p3 += x.w * w;
}
var scale = vec4<f32>(1.0);
if (!FLOAT_WEIGHTS) {
scale = scale_of(tap, block, q);
}
y0 += p0 * scale;
y1 += p1 * scale;
y2 += p2 * scale;
y3 += p3 * scale;
}
}
write_tile(local.xy, pixel, quad, array<vec4<f32>, 4>(y0, y1, y2, y3));
}
`;

export const COPY_ROWS = `
struct CopyRows {
count: u32,
width: u32,
out_width: u32,
offset: u32,
}
@group(0) @binding(0) var<uniform> step: CopyRows;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
let n = number_of(id, groups);
if (n >= step.count) {
return;
}
y[n / step.width * step.out_width + step.offset + n % step.width] = a[n];
}
`;

export const DEPTHWISE = `
override FLOAT_INPUT: bool = false;
@group(0) @binding(1) var<storage, read> activations: array<u32>;
fn weights_of(tap: u32, quad: u32) -> vec4<f32> {
if (call.weight_bits == 32u) {
return bitcast<vec4<f32>>(weights[tap * call.group_quads + quad]);
}
let bit = quad * 4u * call.weight_bits;
let word = weights[tap * call.tap_weight_words + bit / 128u][bit / 32u % 4u] >> (bit % 32u);
let unused = 32u - call.weight_bits;
let at = vec4<u32>(0u, 1u, 2u, 3u) * call.weight_bits;
return vec4<f32>((vec4<i32>(bitcast<i32>(word)) << (vec4<u32>(unused) - at)) >> vec4<u32>(unused));
}
fn read_quad(pixel: u32, channel: vec4<u32>) -> vec4<f32> {
if (FLOAT_INPUT) {
let at = vec4<u32>(pixel * call.in_channels) + channel;
return bitcast<vec4<f32>>(vec4<u32>(activations[at.x], activations[at.y], activations[at.z], activations[at.w]));
}
let block = channel / call.block;
let within = channel % call.block;
let word = pixel * call.pixel_words + block * call.block_words + within / 4u;
let scale = call.scales_at + pixel * call.blocks + block;
if (call.multiplier == 1u && call.block % 4u == 0u) {
return unpack_bytes(activations[word.x]) * bitcast<f32>(activations[scale.x]);
}
let bytes = vec4<i32>(vec4<u32>(activations[word.x], activations[word.y], activations[word.z], activations[word.w]));
let m = (bytes << (vec4<u32>(24u) - 8u * (within % 4u))) >> vec4<u32>(24u);
let s = vec4<u32>(activations[scale.x], activations[scale.y], activations[scale.z], activations[scale.w]);
return vec4<f32>(m) * bitcast<vec4<f32>>(s);
}
@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_id) local: vec3<u32>,
) {
let pixel = ((group.z * groups.y + group.y) * WORKGROUP_Y + local.y) * 4u;
let quad = group.x * WORKGROUP_X + local.x;
let q = min(quad, call.group_quads - 1u);
let window = window_of(pixel);
let channel = min(vec4<u32>(q * 4u) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(call.out_channels - 1u)) / call.multiplier;
var y: array<vec4<f32>, 4>;
for (var tap = 0u; tap < call.kernel_height * call.kernel_width; tap++) {
let taps = taps_of(window, tap / call.kernel_width, tap % call.kernel_width);
let w = weights_of(tap, q);
for (var n = 0u; n < 4u; n++) {
if (taps.inside[n]) {
y[n] += w * read_quad(taps.at[n], channel);
}
}
}
if (call.weight_bits != 32u) {
let scale = scale_of(0u, 0u, q);
for (var n = 0u; n < 4u; n++) {
y[n] *= scale;
}
}
write_tile(local.xy, pixel, quad, y);
}
`;

export const DOT_PACKED = `
fn dot_bytes(a: u32, b: u32) -> i32 {
return dot4I8Packed(a, b);
}
`;

export const DOT_PLAIN = `
fn dot_bytes(a: u32, b: u32) -> i32 {
let x = bitcast<i32>(a);
let y = bitcast<i32>(b);
return ((x << 24u) >> 24u) * ((y << 24u) >> 24u)
+ ((x << 16u) >> 24u) * ((y << 16u) >> 24u)
+ ((x << 8u) >> 24u) * ((y << 8u) >> 24u)
+ (x >> 24u) * (y >> 24u);
}
`;

export const DSCONV_NAIVE = `
@group(0) @binding(1) var<storage, read> activations: array<u32>;
fn mantissa(word: u32, r: u32) -> i32 {
return (bitcast<i32>(word) << (24u - 8u * r)) >> 24u;
}
fn weight(word: u32, r: u32) -> i32 {
let bit = 8u * (r % 4u) + call.weight_bits * (r / 4u);
return (bitcast<i32>(word) << (32u - call.weight_bits - bit)) >> (32u - call.weight_bits);
}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
let quads = call.groups * call.group_quads;
let at = id.x + id.y * groups.x * 64u;
let pixel = at / (4u * quads);
let quad = (at % (4u * quads)) / 4u;
let lane = at % 4u;
if (pixel >= call.pixels || lane >= channels_in(quad)) {
return;
}
let group = quad / call.group_quads;
let picture = pixel / (call.out_width * call.out_height);
let row = i32((pixel / call.out_width) % call.out_height * call.stride_height) - call.pad_top;
let column = i32(pixel % call.out_width * call.stride_width) - call.pad_left;
let per_word = 32u / call.weight_bits;
var y = 0.0;
for (var tap = 0u; tap < call.kernel_height * call.kernel_width; tap++) {
let h = row + i32(tap / call.kernel_width * call.dilation_height);
let w = column + i32(tap % call.kernel_width * call.dilation_width);
if (h < 0 || w < 0 || h >= i32(call.in_height) || w >= i32(call.in_width)) {
continue;
}
let input = (picture * call.in_height + u32(h)) * call.in_width + u32(w);
for (var block = 0u; block < call.blocks; block++) {
var product = 0;
var total = 0;
for (var i = 0u; i < min(call.block, call.depth - block * call.block); i++) {
let m = mantissa(
activations[input * call.pixel_words + group * call.group_words + block * call.block_words + i / 4u],
i % 4u,
);
let word = weights[weight_index(tap, block * call.block_weight_words + i / per_word, quad)][lane];
product += m * weight(word, i % per_word);
total += m;
}
let s = bitcast<f32>(activations[call.scales_at + (input * call.groups + group) * call.blocks + block]);
y += s * (scale_of(tap, block, quad)[lane] * f32(product));
if (call.shift_at != 0u) {
y += s * (shift_of(tap, block, quad)[lane] * f32(total));
}
}
}
var sum = vec4<f32>(0.0);
sum[lane] = y;
let v = finish(pixel, quad, sum);
result[pixel * call.out_channels + channel_of(quad) + lane] = v[lane];
}
`;

export const DSCONV_TILE = `
const PIECE = 16u;
@group(0) @binding(1) var<storage, read> activations: array<u32>;
var<workgroup> tile_a: array<vec4<u32>, PIECE * WORKGROUP_Y>;
var<workgroup> tile_w: array<vec4<u32>, PIECE * WORKGROUP_X>;
fn dots(a: u32, w: vec4<u32>) -> vec4<i32> {
return vec4<i32>(dot_bytes(a, w.x), dot_bytes(a, w.y), dot_bytes(a, w.z), dot_bytes(a, w.w));
}
fn dots_with_one(a: vec4<u32>) -> vec4<i32> {
let one = 0x01010101u;
return vec4<i32>(dot_bytes(a.x, one), dot_bytes(a.y, one), dot_bytes(a.z, one), dot_bytes(a.w, one));
}
fn activation_scales(at: vec4<u32>) -> vec4<f32> {
return bitcast<vec4<f32>>(vec4<u32>(activations[at.x], activations[at.y], activations[at.z], activations[at.w]));
}
@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_id) local: vec3<u32>,
@builtin(local_invocation_index) index: u32,
) {
let tiles_x = (call.group_quads + WORKGROUP_X - 1u) / WORKGROUP_X;
let channel_group = group.x / tiles_x;
let tile_x = (group.x % tiles_x) * WORKGROUP_X;
let quad_in_group = tile_x + local.x;
let q = channel_group * call.group_quads + min(quad_in_group, call.group_quads - 1u);
let first_pixel = (group.z * groups.y + group.y) * WORKGROUP_Y * 4u;
let pixel = first_pixel + local.y * 4u;
let window = window_of(pixel);
let threads = WORKGROUP_X * WORKGROUP_Y;
let bits = call.weight_bits;
let turns = 8u / bits;
let mask = vec4<u32>(top_bits());
var y0 = vec4<f32>(0.0);
var y1 = vec4<f32>(0.0);
var y2 = vec4<f32>(0.0);
var y3 = vec4<f32>(0.0);
for (var tap = 0u; tap < call.kernel_height * call.kernel_width; tap++) {
let kh = tap / call.kernel_width;
let kw = tap % call.kernel_width;
let taps = taps_of(window, kh, kw);
let first_scale = call.scales_at + (taps.at * call.groups + channel_group) * call.blocks;
for (var block = 0u; block < call.blocks; block++) {
var p0 = vec4<i32>(0);
var p1 = vec4<i32>(0);
var p2 = vec4<i32>(0);
var p3 = vec4<i32>(0);
var sum = vec4<i32>(0);
let block_words = min(call.block_words, call.group_words - block * call.block_words);
for (var piece = 0u; piece < block_words; piece += PIECE) {
let words = min(PIECE, block_words - piece);
let weight_words = (words * bits + 7u) / 8u;
workgroupBarrier();
for (var n = index; n < PIECE * WORKGROUP_Y; n += threads) {
let word = n % PIECE;
let row = n / PIECE;
var a = vec4<u32>(0u);
if (word < words) {
let source = taps_of(window_of(first_pixel + row * 4u), kh, kw).at * call.pixel_words
+ channel_group * call.group_words + block * call.block_words + piece + word;
a = vec4<u32>(activations[source.x], activations[source.y], activations[source.z], activations[source.w]);
}
tile_a[word * WORKGROUP_Y + row] = a;
}
for (var n = index; n < weight_words * WORKGROUP_X; n += threads) {
let word = block * call.block_weight_words + piece * bits / 8u + n / WORKGROUP_X;
let column = min(tile_x + n % WORKGROUP_X, call.group_quads - 1u);
tile_w[n] = weights[weight_index(tap, word, channel_group * call.group_quads + column)];
}
workgroupBarrier();
for (var word = 0u; word < weight_words; word++) {
var w = tile_w[word * WORKGROUP_X + local.x];
for (var turn = 0u; turn < turns; turn++) {
let top = (w << vec4<u32>(8u - bits)) & mask;
w = w >> vec4<u32>(bits & 7u);
let a = tile_a[(word * turns + turn) * WORKGROUP_Y + local.y];
p0 += dots(a.x, top);
p1 += dots(a.y, top);
p2 += dots(a.z, top);
p3 += dots(a.w, top);
if (call.shift_at != 0u) {
sum += dots_with_one(a);
}
}
}
}
let s = select(vec4<f32>(0.0), activation_scales(first_scale + block), taps.inside);
let scale = scale_of(tap, block, q) * call.unit;
y0 += (s.x * scale) * vec4<f32>(p0);
y1 += (s.y * scale) * vec4<f32>(p1);
y2 += (s.z * scale) * vec4<f32>(p2);
y3 += (s.w * scale) * vec4<f32>(p3);
if (call.shift_at != 0u) {
let shift = shift_of(tap, block, q);
let t = s * vec4<f32>(sum);
y0 += t.x * shift;
y1 += t.y * shift;
y2 += t.z * shift;
y3 += t.w * shift;
}
}
}
let exists = quad_in_group < call.group_quads;
let quad = select(call.groups * call.group_quads, channel_group * call.group_quads + quad_in_group, exists);
write_tile(local.xy, pixel, quad, array<vec4<f32>, 4>(y0, y1, y2, y3));
}
`;

export const DSCONV_WIDE = `
const BYTE = 0xff000000u;
const PER_BYTE = 5.9604644775390625e-8;
@group(0) @binding(1) var<storage, read> activations: array<u32>;
fn words_at(at: vec4<u32>) -> vec4<u32> {
return vec4<u32>(activations[at.x], activations[at.y], activations[at.z], activations[at.w]);
}
fn top_of(words: vec4<u32>, bits: u32) -> vec4<f32> {
return vec4<f32>(bitcast<vec4<i32>>(words & vec4<u32>(bits)));
}
@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_id) local: vec3<u32>,
) {
let pixel = ((group.z * groups.y + group.y) * WORKGROUP_Y + local.y) * 8u;
let quad = group.x * WORKGROUP_X + local.x;
let window = window_of(pixel);
let next_window = window_of(pixel + 4u);
let q = min(quad, call.groups * call.group_quads - 1u);
let channel_group = q / call.group_quads;
let turns = 8u / call.weight_bits;
let weight_mask = top_bits() & BYTE;
var y0 = vec4<f32>(0.0);
var y1 = vec4<f32>(0.0);
var y2 = vec4<f32>(0.0);
var y3 = vec4<f32>(0.0);
var y4 = vec4<f32>(0.0);
var y5 = vec4<f32>(0.0);
var y6 = vec4<f32>(0.0);
var y7 = vec4<f32>(0.0);
for (var tap = 0u; tap < call.kernel_height * call.kernel_width; tap++) {
let taps = taps_of(window, tap / call.kernel_width, tap % call.kernel_width);
let next = taps_of(next_window, tap / call.kernel_width, tap % call.kernel_width);
for (var block = 0u; block < call.blocks; block++) {
var p0 = vec4<f32>(0.0);
var p1 = vec4<f32>(0.0);
var p2 = vec4<f32>(0.0);
var p3 = vec4<f32>(0.0);
var p4 = vec4<f32>(0.0);
var p5 = vec4<f32>(0.0);
var p6 = vec4<f32>(0.0);
var p7 = vec4<f32>(0.0);
var sum = vec4<f32>(0.0);
var next_sum = vec4<f32>(0.0);
let start = channel_group * call.group_words + block * call.block_words;
var at = taps.at * call.pixel_words + start;
var next_at = next.at * call.pixel_words + start;
let block_words = min(call.block_words, call.group_words - block * call.block_words);
let first_word = block * call.block_weight_words;
let last_word = min(first_word + call.block_weight_words, call.tap_weight_words);
for (var word = first_word; word < last_word; word++) {
let packed = weights[weight_index(tap, word, q)];
var factor = 1u << (8u - call.weight_bits);
for (var turn = 0u; turn < turns; turn++) {
let moved = packed * factor;
factor = factor >> call.weight_bits;
let a = words_at(at);
let b = words_at(next_at);
at += vec4<u32>(1u);
next_at += vec4<u32>(1u);
let byte = select(0u, BYTE, turn + (word - first_word) * turns < block_words);
var w: vec4<f32>;
var m: vec4<f32>;
var n: vec4<f32>;
w = top_of(moved * 16777216u, weight_mask);
m = top_of(a * 16777216u, byte);
n = top_of(b * 16777216u, byte);
p0 += m.x * w;
p1 += m.y * w;
p2 += m.z * w;
p3 += m.w * w;
p4 += n.x * w;
p5 += n.y * w;
p6 += n.z * w;
p7 += n.w * w;
sum += m;
next_sum += n;
w = top_of(moved * 65536u, weight_mask);
m = top_of(a * 65536u, byte);
n = top_of(b * 65536u, byte);
p0 += m.x * w;
p1 += m.y * w;
p2 += m.z * w;
p3 += m.w * w;
p4 += n.x * w;
p5 += n.y * w;
p6 += n.z * w;
p7 += n.w * w;
sum += m;
next_sum += n;
w = top_of(moved * 256u, weight_mask);
m = top_of(a * 256u, byte);
n = top_of(b * 256u, byte);
p0 += m.x * w;
p1 += m.y * w;
p2 += m.z * w;
p3 += m.w * w;
p4 += n.x * w;
p5 += n.y * w;
p6 += n.z * w;
p7 += n.w * w;
sum += m;
next_sum += n;
w = top_of(moved, weight_mask);
m = top_of(a, byte);
n = top_of(b, byte);
p0 += m.x * w;
p1 += m.y * w;
p2 += m.z * w;
p3 += m.w * w;
p4 += n.x * w;
p5 += n.y * w;
p6 += n.z * w;
p7 += n.w * w;
sum += m;
next_sum += n;
}
}
let from_scale = call.scales_at + channel_group * call.blocks + block;
let step = call.groups * call.blocks;
let s = select(vec4<f32>(0.0), bitcast<vec4<f32>>(words_at(taps.at * step + from_scale)), taps.inside);
let t = select(vec4<f32>(0.0), bitcast<vec4<f32>>(words_at(next.at * step + from_scale)), next.inside);
let scale = scale_of(tap, block, q);
let unit = PER_BYTE * PER_BYTE * call.unit;
y0 += (s.x * scale) * (p0 * unit);
y1 += (s.y * scale) * (p1 * unit);
y2 += (s.z * scale) * (p2 * unit);
y3 += (s.w * scale) * (p3 * unit);
y4 += (t.x * scale) * (p4 * unit);
y5 += (t.y * scale) * (p5 * unit);
y6 += (t.z * scale) * (p6 * unit);
y7 += (t.w * scale) * (p7 * unit);
if (call.shift_at != 0u) {
let shift = shift_of(tap, block, q);
let sm = s * (sum * PER_BYTE);
let tm = t * (next_sum * PER_BYTE);
y0 += sm.x * shift;
y1 += sm.y * shift;
y2 += sm.z * shift;
y3 += sm.w * shift;
y4 += tm.x * shift;
y5 += tm.y * shift;
y6 += tm.z * shift;
y7 += tm.w * shift;
}
}
}
var tile = array<vec4<f32>, 4>(y0, y1, y2, y3);
for (var half = 0u; half < 2u; half++) {
write_tile(local.xy, pixel + 4u * half, quad, tile);
tile = array<vec4<f32>, 4>(y4, y5, y6, y7);
workgroupBarrier();
}
}
`;

export const ELEMENTWISE = `
struct Elementwise {
count: u32,
period: u32,
operation: u32,
apply_code: u32,
alpha: f32,
}
@group(0) @binding(0) var<uniform> step: Elementwise;
fn operate(x: f32, at: u32) -> f32 {
switch (step.operation) {
case 1u: {
return x + b[at];
}
case 2u: {
return x - b[at];
}
case 3u: {
return x * b[at];
}
case 4u: {
return b[at] - x;
}
case 5u: {
return select(x, b[at], (b[at] > x && !is_nan(x)) || is_nan(b[at]));
}
case 6u: {
return select(x, b[at], (b[at] < x && !is_nan(x)) || is_nan(b[at]));
}
case 7u: {
return x / b[at];
}
case 8u: {
return x * b[at] + c[at];
}
default: {
return x;
}
}
}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
let n = number_of(id, groups);
if (n >= step.count) {
return;
}
let at = n % step.period;
var slope = step.alpha;
if (step.apply_code == PRELU) {
slope = b[at];
}
y[n] = apply(operate(a[n], at), step.apply_code, slope);
}
`;

export const FILTER = `
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<vec2<u32>>;
fn top_bits() -> u32 {
return 0x01010101u * (256u - (1u << (8u - call.weight_bits)));
}
fn weight_index(tap: u32, word: u32, quad: u32) -> u32 {
return (tap * call.tap_weight_words + word) * call.groups * call.group_quads + quad;
}
fn widen(halves: u32) -> vec2<f32> {
let h = vec2<u32>(halves & 0xffffu, halves >> 16u);
let sign = (h & vec2<u32>(0x8000u)) << vec2<u32>(16u);
let exponent = (h >> vec2<u32>(10u)) & vec2<u32>(0x1fu);
let fraction = h & vec2<u32>(0x3ffu);
let normal = ((exponent + vec2<u32>(112u)) << vec2<u32>(23u)) | (fraction << vec2<u32>(13u));
let subnormal = bitcast<vec2<u32>>(vec2<f32>(fraction) * bitcast<f32>(0x33800000u));
return bitcast<vec2<f32>>(sign | select(normal, subnormal, exponent == vec2<u32>(0u)));
}
fn scale_of(tap: u32, block: u32, quad: u32) -> vec4<f32> {
let row = (tap * call.blocks + block) * call.scale_per_block;
let at = row * call.groups * call.group_quads + quad;
if (call.scale_halves != 0u) {
let pair = scales[at];
return vec4<f32>(widen(pair.x), widen(pair.y));
}
return vec4<f32>(bitcast<vec2<f32>>(scales[2u * at]), bitcast<vec2<f32>>(scales[2u * at + 1u]));
}
fn shift_of(tap: u32, block: u32, quad: u32) -> vec4<f32> {
let at = call.shift_at / 2u + 2u * ((tap * call.blocks + block) * call.groups * call.group_quads + quad);
return vec4<f32>(bitcast<vec2<f32>>(scales[at]), bitcast<vec2<f32>>(scales[at + 1u]));
}
`;

export const MAT_MUL = `
struct MatMul {
count: u32,
rows: u32,
columns: u32,
depth: u32,
a_stride: u32,
b_stride: u32,
a_row: u32,
a_depth: u32,
b_depth: u32,
b_column: u32,
bias: u32,
apply_code: u32,
alpha: f32,
}
@group(0) @binding(0) var<uniform> step: MatMul;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
let n = number_of(id, groups);
if (n >= step.count) {
return;
}
let column = n % step.columns;
let row = n / step.columns % step.rows;
let batch = n / (step.columns * step.rows);
let from_a = batch * step.a_stride + row * step.a_row;
let from_b = batch * step.b_stride + column * step.b_column;
var sum = 0.0;
for (var k = 0u; k < step.depth; k++) {
sum += a[from_a + k * step.a_depth] * b[from_b + k * step.b_depth];
}
if (step.bias != 0u) {
sum += c[column];
}
y[n] = apply(sum, step.apply_code, step.alpha);
}
`;

export const MEAN = `
struct Mean {
count: u32,
pixels: u32,
channels: u32,
}
@group(0) @binding(0) var<uniform> step: Mean;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
let n = number_of(id, groups);
if (n >= step.count) {
return;
}
let first = n / step.channels * step.pixels * step.channels + n % step.channels;
var sum = 0.0;
for (var p = 0u; p < step.pixels; p++) {
sum += a[first + p * step.channels];
}
y[n] = sum / f32(step.pixels);
}
`;

export const OUTPUT = `
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read> slopes: array<f32>;
@group(0) @binding(6) var<storage, read> residual: array<u32>;
@group(0) @binding(7) var<storage, read_write> result: array<f32>;
@group(0) @binding(8) var<storage, read_write> image: array<u32>;
fn logistic(v: vec4<f32>) -> vec4<f32> {
return v / (vec4<f32>(1.0) + exp(-v));
}
fn activate(v: vec4<f32>, slope: vec4<f32>) -> vec4<f32> {
let zero = vec4<f32>(0.0);
switch (call.activation) {
case 1u: {
return select(v, zero, v <= zero);
}
case 2u: {
return select(select(v, vec4<f32>(6.0), v > vec4<f32>(6.0)), zero, v <= zero);
}
case 3u: {
return select(logistic(v), zero, v < vec4<f32>(-87.0));
}
case 4u, 5u: {
return select(v, slope * v, v < zero);
}
default: {
return v;
}
}
}
fn residual_of(pixel: u32, channel: vec4<u32>) -> vec4<f32> {
if ((call.inputs & 2u) != 0u) {
let at = vec4<u32>(pixel * call.out_channels) + channel;
return bitcast<vec4<f32>>(vec4<u32>(residual[at.x], residual[at.y], residual[at.z], residual[at.w]));
}
let m = unpack_bytes(residual[pixel * call.residual_words + channel.x / 4u]);
let blocks = (call.out_channels + call.residual_block - 1u) / call.residual_block;
let scale = residual[call.residual_scales_at + pixel * blocks + channel.x / call.residual_block];
return m * bitcast<f32>(scale);
}
fn channel_of(quad: u32) -> u32 {
return (quad / call.group_quads) * call.group_outputs + (quad % call.group_quads) * 4u;
}
fn channels_in(quad: u32) -> u32 {
return min(4u, call.group_outputs - (quad % call.group_quads) * 4u);
}
fn finish(pixel: u32, quad: u32, sum: vec4<f32>) -> vec4<f32> {
if (pixel >= call.pixels || quad >= call.groups * call.group_quads) {
return vec4<f32>(0.0);
}
let lane = vec4<u32>(0u, 1u, 2u, 3u);
let exists = lane < vec4<u32>(channels_in(quad));
let channel = select(vec4<u32>(channel_of(quad)), vec4<u32>(channel_of(quad)) + lane, exists);
var y = sum;
if ((call.inputs & 1u) != 0u) {
y += vec4<f32>(bias[channel.x], bias[channel.y], bias[channel.z], bias[channel.w]);
}
if ((call.inputs & 6u) != 0u) {
y += residual_of(pixel, channel);
}
var slope = vec4<f32>(call.alpha);
if (call.activation == 5u) {
slope = vec4<f32>(slopes[channel.x], slopes[channel.y], slopes[channel.z], slopes[channel.w]);
}
return select(vec4<f32>(0.0), activate(y, slope), exists);
}
fn write_floats(pixel: u32, quad: u32, v: vec4<f32>) {
if (pixel >= call.pixels || quad >= call.groups * call.group_quads) {
return;
}
let first = pixel * call.out_channels + channel_of(quad);
let count = channels_in(quad);
for (var n = 0u; n < count; n++) {
result[first + n] = v[n];
}
}
`;

export const PAD = `
struct Pad {
count: u32,
height: u32,
width: u32,
channels: u32,
out_height: u32,
out_width: u32,
top: u32,
left: u32,
value: f32,
}
@group(0) @binding(0) var<uniform> step: Pad;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
let n = number_of(id, groups);
if (n >= step.count) {
return;
}
let channel = n % step.channels;
let pixel = n / step.channels;
let w = pixel % step.out_width - step.left;
let h = pixel / step.out_width % step.out_height - step.top;
let picture = pixel / (step.out_width * step.out_height);
if (h >= step.height || w >= step.width) {
y[n] = step.value;
} else {
y[n] = a[((picture * step.height + h) * step.width + w) * step.channels + channel];
}
}
`;

export const PIXELS = `
struct Window {
row: vec4<i32>,
column: vec4<i32>,
picture: vec4<u32>,
}
fn window_of(pixel: u32) -> Window {
let p = min(vec4<u32>(pixel) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(call.pixels - 1u));
let column = p % call.out_width;
let rows = p / call.out_width;
let row = rows % call.out_height;
return Window(
vec4<i32>(row * call.stride_height) - vec4<i32>(call.pad_top),
vec4<i32>(column * call.stride_width) - vec4<i32>(call.pad_left),
(rows / call.out_height) * (call.in_height * call.in_width),
);
}
struct Taps {
at: vec4<u32>,
inside: vec4<bool>,
}
fn taps_of(window: Window, kh: u32, kw: u32) -> Taps {
let row = window.row + vec4<i32>(i32(kh * call.dilation_height));
let column = window.column + vec4<i32>(i32(kw * call.dilation_width));
let inside = (row >= vec4<i32>(0)) & (row < vec4<i32>(i32(call.in_height)))
& (column >= vec4<i32>(0)) & (column < vec4<i32>(i32(call.in_width)));
let at = window.picture + vec4<u32>(row) * call.in_width + vec4<u32>(column);
return Taps(select(vec4<u32>(0u), at, inside), inside);
}
`;

export const POOL = `
struct Pool {
count: u32,
channels: u32,
in_height: u32,
in_width: u32,
out_height: u32,
out_width: u32,
kernel_height: u32,
kernel_width: u32,
stride_height: u32,
stride_width: u32,
dilation_height: u32,
dilation_width: u32,
pad_top: i32,
pad_left: i32,
mean: u32,
}
@group(0) @binding(0) var<uniform> step: Pool;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
let n = number_of(id, groups);
if (n >= step.count) {
return;
}
let channel = n % step.channels;
let pixel = n / step.channels;
let picture = pixel / (step.out_width * step.out_height);
let top = i32(pixel / step.out_width % step.out_height * step.stride_height) - step.pad_top;
let left = i32(pixel % step.out_width * step.stride_width) - step.pad_left;
var sum = 0.0;
var largest = 0.0;
var inside = 0u;
for (var kh = 0u; kh < step.kernel_height; kh++) {
let h = top + i32(kh * step.dilation_height);
if (h < 0 || h >= i32(step.in_height)) {
continue;
}
for (var kw = 0u; kw < step.kernel_width; kw++) {
let w = left + i32(kw * step.dilation_width);
if (w < 0 || w >= i32(step.in_width)) {
continue;
}
let v = a[((picture * step.in_height + u32(h)) * step.in_width + u32(w)) * step.channels + channel];
sum += v;
largest = select(largest, v, inside == 0u || (v > largest && !is_nan(largest)) || is_nan(v));
inside++;
}
}
if (step.mean != 0u) {
y[n] = sum / f32(inside);
} else {
y[n] = largest;
}
}
`;

export const SOFTMAX = `
struct Softmax {
rows: u32,
channels: u32,
}
@group(0) @binding(0) var<uniform> step: Softmax;
var<workgroup> shares: array<f32, 64>;
@compute @workgroup_size(64)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(num_workgroups) groups: vec3<u32>,
@builtin(local_invocation_index) index: u32,
) {
let row = group.x + group.y * groups.x;
let first = min(row, step.rows - 1u) * step.channels;
var largest = a[first];
for (var n = index; n < step.channels; n += 64u) {
largest = max(largest, a[first + n]);
}
shares[index] = largest;
workgroupBarrier();
for (var n = 0u; n < 64u; n++) {
largest = max(largest, shares[n]);
}
var sum = 0.0;
for (var n = index; n < step.channels; n += 64u) {
sum += exp(a[first + n] - largest);
}
workgroupBarrier();
shares[index] = sum;
workgroupBarrier();
sum = 0.0;
for (var n = 0u; n < 64u; n++) {
sum += shares[n];
}
for (var n = index; n < step.channels; n += 64u) {
y[first + n] = exp(a[first + n] - largest) / sum;
}
}
`;

export const STEP = `
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> c: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
fn number_of(id: vec3<u32>, groups: vec3<u32>) -> u32 {
return id.x + id.y * groups.x * 64u;
}
fn is_nan(v: f32) -> bool {
return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}
const PRELU = 5u;
fn apply(v: f32, code: u32, slope: f32) -> f32 {
switch (code) {
case 1u: {
return select(v, 0.0, v <= 0.0);
}
case 2u: {
return select(select(v, 6.0, v > 6.0), 0.0, v <= 0.0);
}
case 3u: {
return select(v / (1.0 + exp(-v)), 0.0, v < -87.0);
}
case 4u, PRELU: {
return select(v, slope * v, v < 0.0);
}
case 6u: {
return select(1.0 / (1.0 + exp(-v)), 0.0, v < -87.0);
}
case 7u: {
return select(tanh(v), sign(v), abs(v) > 10.0);
}
case 8u: {
return exp(v);
}
default: {
return v;
}
}
}
`;

export const TILE_OUTPUT = `
override WORKGROUP_X: u32 = 16u;
override WORKGROUP_Y: u32 = 4u;
var<workgroup> peaks: array<vec4<u32>, WORKGROUP_X * WORKGROUP_Y>;
fn peak_of(v: vec4<f32>) -> u32 {
return max(max(magnitude(v.x), magnitude(v.y)), max(magnitude(v.z), magnitude(v.w)));
}
fn write_grid(pixel: u32, quad: u32, v: vec4<f32>, peak: u32) {
if (pixel >= call.pixels || quad >= call.group_quads) {
return;
}
let grid = grid_of(peak, call.out_bits);
let m = mantissas_of(v, grid, call.out_bits);
if ((call.writes & 1u) != 0u) {
write_floats(pixel, quad, vec4<f32>(m) * bitcast<f32>(grid.scale));
}
if ((call.writes & 2u) != 0u) {
image[pixel * call.out_words + quad] = pack_bytes(m);
if ((quad * 4u) % call.out_block == 0u) {
let blocks = (call.out_channels + call.out_block - 1u) / call.out_block;
image[call.out_scales_at + pixel * blocks + quad * 4u / call.out_block] = grid.scale;
}
}
}
fn write_tile(local: vec2<u32>, pixel: u32, quad: u32, sums: array<vec4<f32>, 4>) {
var values = sums;
var peak = vec4<u32>(0u);
for (var n = 0u; n < 4u; n++) {
let v = finish(pixel + n, quad, values[n]);
values[n] = v;
if (call.out_bits == 0u) {
write_floats(pixel + n, quad, v);
}
peak[n] = peak_of(v);
}
if (call.out_bits == 0u) {
return;
}
let row = local.y * WORKGROUP_X;
peaks[row + local.x] = peak;
workgroupBarrier();
let width = min((call.out_block + 3u) / 4u, WORKGROUP_X);
let start = row + local.x - local.x % width;
for (var n = 0u; n < width; n++) {
peak = max(peak, peaks[start + n]);
}
for (var n = 0u; n < 4u; n++) {
write_grid(pixel + n, quad, values[n], peak[n]);
}
}
`;

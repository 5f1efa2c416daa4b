#include "dsconv2d.h"

#include "thread_pool.h"

namespace dsconv {
namespace {

constexpr size_t kCachedWeights = 384 << 10, kNearWeights = 36 << 10;
constexpr int64_t kManyPixels = 120;  // fewer make tiles that are not full

struct Job {
  const Window& w;
  const Filter& f;
  const Image& input;
  const Tiling* tiling;
  const Output& out;
  int granule;
  int per_group, group_vectors;
  bool is_short, has_halves, whole_tiles;  // whole_tiles: pointwise tiles have 6 pixels but for the last
  int64_t tiles;  // row tiles over the batch
};

// A row tile with its pointers resolved, kept over all channels.
struct RowTile {
  TileArgs args;
  TapRows* taps;
  int64_t pixels[kTileRows];
  bool pipelined, is_short, has_halves;
  Pipeline finish;
  FusedFinish fused;
};

void resolve(const Job& job, int64_t tile, RowTile* rt) {
  const ImageSpec& s = job.input.spec;
  const size_t stride = s.stride(), entries = s.entries();
  TileArgs& a = rt->args;
  const auto point = [&](TapRows* to, int r, int64_t pixel) {
    to->x[r] = job.input.rows + pixel * int64_t(stride);
    to->record[r] = job.input.records + pixel * int64_t(entries);
  };
  a.taps = rt->taps;
  if (job.tiling) {
    const Tiling& t = *job.tiling;
    const int64_t entry = tile / t.tiles, local = tile % t.tiles;
    const int64_t first = entry * job.w.in_h * job.w.in_w, base = entry * job.w.out_h * job.w.out_w;
    a.count = t.counts[local];
    a.tap_count = int(t.first[local + 1] - t.first[local]);
    const int32_t* index = t.index.data() + size_t(t.first[local]) * kTileRows;
    for (int n = 0; n < a.tap_count; n++) {
      rt->taps[n].tap = t.taps[t.first[local] + n];
      for (int r = 0; r < kTileRows; r++, index++) point(&rt->taps[n], r, *index < 0 ? job.input.pixels : first + *index);
    }
    for (int r = 0; r < kTileRows; r++) rt->pixels[r] = base + t.pixels[local * kTileRows + r];
  } else {
    // Halves of 3 rows leave no row idle in full tiles; else tiles are as even as can be: 49 pixels are 9 tiles of 5 or 6.
    const int64_t begin = job.whole_tiles ? tile * kTileRows : tile * job.w.out_pixels() / job.tiles;
    const int64_t end = job.whole_tiles ? min_of(begin + kTileRows, job.w.out_pixels()) : (tile + 1) * job.w.out_pixels() / job.tiles;
    a.count = int(end - begin);
    a.tap_count = 1;
    rt->taps[0].tap = 0;
    for (int r = 0; r < kTileRows; r++) {
      rt->pixels[r] = min_of(begin + r, end - 1);
      point(&rt->taps[0], r, rt->pixels[r]);
    }
  }
}

void fetch(const void* from, size_t bytes) {
  for (size_t n = 0; n < bytes; n += 64) __builtin_prefetch(static_cast<const char*>(from) + n, 0, 2);
}
void fetch_to_write(void* to, size_t bytes) {
  for (size_t n = 0; n < bytes; n += 64) __builtin_prefetch(static_cast<char*>(to) + n, 1, 2);
}
void fetch_rows(const Image& image, int64_t pixel, int count) {
  const ImageSpec& s = image.spec;
  fetch(image.rows + pixel * int64_t(s.stride()), s.stride() * count);
  fetch(image.records + pixel * int64_t(s.entries()), sizeof(BlockRecord) * s.entries() * count);
}

// Brings what the tile will read and write into the second-level cache: its rows are too short for the hardware to see where they lead.
void fetch_tile(const Job& job, int64_t tile) {
  int64_t pixel;
  int count;
  if (job.tiling) {
    // Of the window only the last row is new.
    const Tiling& t = *job.tiling;
    const int64_t entry = tile / t.tiles, local = tile % t.tiles;
    const int32_t* index = t.index.data() + size_t(t.first[local]) * kTileRows;
    const int taps = int(t.first[local + 1] - t.first[local]), first = max_of(0, taps - job.w.kw);
    for (int r = 0; r < kTileRows && first < taps; r++) {
      const int32_t at = index[first * kTileRows + r];
      if (at >= 0) fetch_rows(job.input, entry * job.w.in_h * job.w.in_w + at, 1);
    }
    pixel = entry * job.w.out_h * job.w.out_w + t.pixels[local * kTileRows];
    count = t.counts[local];
  } else {
    pixel = job.whole_tiles ? tile * kTileRows : tile * job.w.out_pixels() / job.tiles;
    count = kTileRows;
    fetch_rows(job.input, pixel, int(min_of<int64_t>(count, job.input.pixels - pixel)));
  }
  count = int(min_of<int64_t>(count, job.w.out_pixels() - pixel));
  const Output& out = job.out;
  if (out.residual_image) fetch_rows(*out.residual_image, pixel, count);
  for (int n = 0; n < out.sinks; n++) {
    if (!out.image[n]) continue;
    const ImageSpec& s = out.image[n]->spec;
    fetch_to_write(out.image[n]->rows + pixel * int64_t(s.stride()), s.stride() * count);
    fetch_to_write(out.image[n]->records + pixel * int64_t(s.entries()), sizeof(BlockRecord) * s.entries() * count);
  }
}

// All channels [c0, c0 + width) of one row tile.
void run_tile(const Job& job, RowTile* rt, int c0, int width, float* scratch, size_t ld) {
  const Filter& f = job.f;
  TileArgs& a = rt->args;
  const auto kernel = kernels().dsconv2d_tile[storage_index(f.storage)];
  const int per_group = job.per_group;
  for (int c = c0; c < c0 + width;) {
    const int g = f.groups == 1 ? 0 : c / per_group, t = (c - g * per_group) / kTileChannels;
    const int channels = min_of(c0 + width - c, per_group - (c - g * per_group));
    if (g > 0) {
      // Groups share the pointers: step them to this group's channels and back.
      for (int n = 0; n < a.tap_count; n++) {
        for (int r = 0; r < kTileRows; r++) {
          rt->taps[n].x[r] += g * f.depth;
          rt->taps[n].record[r] += g * f.blocks();
        }
      }
    }
    a.vectors = ceil_div(channels, kLaneChannels);
    const size_t column = size_t(g) * job.group_vectors + size_t(t) * 2;
    a.weights = f.weights.data() + column * a.vector_weights;
    a.scales = f.scales ? f.scales.as<float>() + column * a.vector_scales : nullptr;
    a.shifts = f.shifts ? f.shifts.as<float>() + column * a.vector_scales : nullptr;
    // A tile writes whole vectors: scratch has room behind its last channel, and the next group's first tile overwrites the surplus.
    a.out = scratch + (c - c0);
    kernel(a);
    if (g > 0) {
      for (int n = 0; n < a.tap_count; n++) {
        for (int r = 0; r < kTileRows; r++) {
          rt->taps[n].x[r] -= g * f.depth;
          rt->taps[n].record[r] -= g * f.blocks();
        }
      }
    }
    c += channels;
  }
  if (rt->pipelined) rt->finish.push(scratch, ld, c0, width);
  else finish_rows(job.out, scratch, ld, a.count, rt->pixels, c0, width);
}

// The same where the kernel finishes too.
void run_fused(const Job& job, RowTile* rt, int c0, int width, const PixelRun* run) {
  const Filter& f = job.f;
  TileArgs& a = rt->args;
  const size_t column = size_t(c0 / kLaneChannels);
  a.vectors = ceil_div(width, kLaneChannels);
  a.weights = f.weights.data() + column * a.vector_weights;
  a.scales = f.scales ? f.scales.as<float>() + column * a.vector_scales : nullptr;
  a.shifts = nullptr;
  const auto& kernel = rt->is_short ? kernels().dsconv2d_short : kernels().dsconv2d_halves;
  kernel[storage_index(f.storage)](a, rt->fused.set_rows(job.out, a.count, rt->pixels), c0, run);
}

}  // namespace

void dsconv2d_blocked(const Window& w, const Filter& filter, const Image& input, const Tiling* tiling, const Output& out, Upcoming upcoming) {
  Job job{w, filter, input, tiling, out, out.granule(filter.groups), filter.group_outputs(), filter.group_vectors(), false, false, false, 0};
  // A granule starts at a tile's first channel: multiples of 32 within one group, or all channels.
  if (filter.groups > 1) job.granule = filter.outputs;
  job.tiles = tiling ? int64_t{tiling->tiles} * w.batch : ceil_div<int64_t>(w.out_pixels(), kTileRows);
  // Weights of 64 channels are read twice, by either half of a tile's rows: they should stay in the nearest cache.
  const ImageSpec* const to = out.sinks == 1 && out.image[0] ? &out.image[0]->spec : nullptr;
  const Image* const ri = out.residual_image;
  job.has_halves = kernels().dsconv2d_halves[0] && filter.groups == 1 && !filter.shifts && filter.scales && !input.plain && to && (to->block == 64 || to->block == 128) && filter.outputs % to->block == 0 &&
                   !out.residual && (!ri || ri->spec.block % 64 == 0 || ri->spec.block >= filter.outputs) && filter.weights.bytes() / (filter.outputs / 64) <= kNearWeights && w.out_pixels() >= kManyPixels;
  job.is_short = kernels().dsconv2d_short[0] && filter.taps == 1 && filter.blocks() == 1 && filter.groups == 1 && !filter.shifts && !input.plain;
  job.whole_tiles = job.is_short || job.has_halves;
  // Row tiles outside, channels inside, so that a pixel's rows are read and written once; but no more channels at a time than weights that
  // stay in the second-level cache.
  const int granules = ceil_div(filter.outputs, job.granule);
  const size_t granule_bytes = filter.weights.bytes() / granules + 1;
  const int span = int(max_of<size_t>(1, min_of<size_t>(granules, kCachedWeights / granule_bytes)));
  const int spans = ceil_div(granules, span);
  const size_t ld = round_up(job.granule, kLaneChannels) + kTileChannels;
  // A share of what comes next for every unit: the next span of these weights, in the last span the next step's.
  const size_t span_bytes = size_t(span) * granule_bytes;
  const auto prefetch = [&](int64_t s, int64_t tile) {
    const uint8_t* from = s + 1 < spans ? filter.weights.data() + size_t(s + 1) * span_bytes : upcoming.data;
    const size_t bytes = s + 1 < spans ? min_of(span_bytes, filter.weights.bytes() - size_t(s + 1) * span_bytes) : min_of(upcoming.bytes, kCachedWeights);
    if (!from) return;
    const size_t begin = bytes * size_t(tile) / size_t(job.tiles), end = bytes * size_t(tile + 1) / size_t(job.tiles);
    for (size_t n = begin & ~size_t{63}; n < end; n += 64) __builtin_prefetch(from + n, 0, 2);
  };
  parallel_for(job.tiles * spans, 4, [&](int64_t begin, int64_t end) {
    float* scratch = static_cast<float*>(thread_scratch(0, 2 * ld * kTileRows * sizeof(float)));
    int parity = 0;
    RowTile rt;
    // Sums of one product's length cost no more than what follows them: that is done at once.
    rt.is_short = job.is_short && rt.fused.prepare(out);
    rt.has_halves = !rt.is_short && job.has_halves && rt.fused.prepare(out);
    rt.pipelined = !rt.is_short && !rt.has_halves && rt.finish.prepare(out, job.granule);
    rt.taps = static_cast<TapRows*>(thread_scratch(1, sizeof(TapRows) * filter.taps));
    rt.args.records = input.records;
    rt.args.sums = input.sums;
    rt.args.tap_weights = filter.tap_weights();
    rt.args.vector_weights = filter.tap_weights() * filter.taps;
    rt.args.tap_scales = filter.tap_scales();
    rt.args.vector_scales = filter.tap_scales() * filter.taps;
    rt.args.blocks = filter.blocks();
    rt.args.steps = filter.steps(0);
    rt.args.last_steps = filter.steps(filter.blocks() - 1);
    rt.args.block = filter.block;
    rt.args.plain = input.plain;
    rt.args.ldo = ld;
    int64_t s = begin / job.tiles, tile = begin % job.tiles;
    if (rt.is_short && !tiling && spans == 1) {
      // Tiles that take less time to compute than to describe one by one.
      resolve(job, begin, &rt);
      const PixelRun run{min_of(end * kTileRows, w.out_pixels()) - begin * kTileRows, input.spec.stride(), size_t(input.spec.entries())};
      run_fused(job, &rt, 0, filter.outputs, &run);
      return rt.fused.flush();
    }
    for (int64_t unit = begin; unit < end; unit++, tile++) {
      if (tile == job.tiles) {
        tile = 0;
        s++;
      }
      prefetch(s, tile);
      if (s == begin / job.tiles && unit + 1 < end && tile + 1 < job.tiles) fetch_tile(job, tile + 1);
      resolve(job, tile, &rt);
      if (rt.args.tap_count > 0 && (rt.is_short || rt.has_halves)) {
        const int c0 = int(s * span) * job.granule;
        run_fused(job, &rt, c0, min_of(span * job.granule, filter.outputs - c0), nullptr);
        continue;
      }
      if (rt.pipelined) rt.finish.set_rows(out, rt.args.count, rt.pixels);
      const int last = int(min_of<int64_t>(granules, (s + 1) * span));
      for (int n = int(s * span); n < last; n++) {
        const int c0 = n * job.granule;
        run_tile(job, &rt, c0, min_of(job.granule, filter.outputs - c0), scratch + parity * ld * kTileRows, ld);
        parity ^= 1;
      }
    }
    if (rt.pipelined) rt.finish.flush();
    if (rt.is_short || rt.has_halves) rt.fused.flush();
  });
}

void quantize_image(const float* x, Image* image) {
  image->begin();
  Output out;
  out.channels = image->spec.channels;
  out.add(image);
  const Kernels& k = kernels();
  const ImageSpec& s = image->spec;
  const int entries = s.entries(), blocks = s.blocks_per_group();
  parallel_for(image->pixels, 64, [&](int64_t begin, int64_t end) {
    QuantizeArgs q;
    q.ld = s.channels;
    q.mantissa = s.mantissa;
    q.storage = s.storage;
    q.plain = image->plain;
    bool huge = false;
    for (int64_t p = begin; p < end; p += kTileRows) {
      q.rows = int(min_of<int64_t>(kTileRows, end - p));
      for (int g = 0; g < s.groups; g++) {
        for (int j = 0; j < blocks; j++) {
          const int c = g * s.depth() + j * s.block, entry = g * blocks + j;
          q.source = x + size_t(p) * s.channels + c;
          q.length = min_of(s.block, s.depth() - j * s.block);
          for (int r = 0; r < q.rows; r++) {
            q.mantissas[r] = image->rows + size_t(p + r) * s.stride() + c;
            q.records[r] = image->records + size_t(p + r) * entries + entry;
            q.sums[r] = image->sums ? image->sums + size_t(p + r) * entries + entry : nullptr;
          }
          huge |= k.quantize(q);
        }
      }
    }
    if (huge) image->huge->store(true, std::memory_order_relaxed);
  });
  image->settle();
}

void round_rows(const float* x, float* y, int64_t pixels, int channels, int groups, int block, int mantissa) {
  Output out;
  out.channels = channels;
  out.format.mantissa = mantissa;
  out.format.block = block;
  out.format.groups = groups;
  out.add(y);
  copy_rows(x, pixels, out);
}

}  // namespace dsconv

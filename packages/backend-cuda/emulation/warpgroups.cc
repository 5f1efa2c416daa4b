// wgmma.mma_async: products that four warps begin together and that end later, of registers by what a descriptor says of shared memory.
//
// Each warp computes its own rows, at once, when it waits for them, or between (EMU_EAGER), as a device may: what other warps of the group have not done by then,
// or did too early, shows. Sums are poison until they are waited for. A register must have been fenced after whatever else touched it, and must keep its value
// as long as it is multiplied. Bytes that were copied to shared memory are seen as they were before until the thread that copied them has fenced that; a device
// would be content with a fence of who waits for that thread. Plain stores are not watched: wgmma sees them at once.
#include <algorithm>
#include <cstring>

#include "runtime.h"

namespace emulation {
namespace {

/** What sums are that nobody may read, or write, yet. */
constexpr uint32_t kUndefined = 0x7f5ead00u;

RunningBlock& block_of(const Fiber* fiber) { return *static_cast<RunningBlock*>(fiber->block); }

/** What a lane gives to the others of its warp. */
struct Given {
  uint32_t* d;
  const uint32_t* a;
  uint64_t matrix;
  uint32_t adds;
};

Given given_by(const Fiber* lane) {
  Given given;
  memcpy(&given.d, lane->in, 8);
  memcpy(&given.a, lane->in + 2, 8);
  memcpy(&given.matrix, lane->in + 4, 8);
  given.adds = lane->in[6];
  return given;
}

/** The fenced registers that these belong to, or null. */
const FencedRegisters::Range* fenced_range(const Fiber* fiber, const uint32_t* at, int count) {
  for (const FencedRegisters::Range& range : fiber->fenced->ranges) {
    if (at >= range.at && at + count <= range.at + range.values.size()) return &range;
  }
  return nullptr;
}

void forget_range(Fiber* fiber, const uint32_t* at) {
  auto& ranges = fiber->fenced->ranges;
  for (size_t n = ranges.size(); n-- > 0;) {
    if (ranges[n].at == at) ranges.erase(ranges.begin() + static_cast<std::ptrdiff_t>(n));
  }
}

void demand_fenced(const Fiber* fiber, const uint32_t* at, int count, const char* what) {
  const FencedRegisters::Range* range = fenced_range(fiber, at, count);
  if (range == nullptr) fail("wgmma takes %s that no wgmma.fence came before since they were last used", what);
  for (int n = 0; n < count; n++) {
    if (range->values[static_cast<size_t>(at - range->at) + n] != at[n]) fail("wgmma takes %s that changed after the last wgmma.fence", what);
  }
}

/** 16 bytes of shared memory as wgmma sees them. */
void read_piece(const RunningBlock& block, unsigned place, int8_t* to) {
  const char* at = block.shared_window + place;
  const char* dynamic = static_cast<const char*>(block.dynamic_shared);
  if (at < dynamic || at + 16 > dynamic + block.launch->shared) fail("wgmma reads place 0x%05x of shared memory, which is not the block's", place);
  memcpy(to, at, 16);
  const StaleBytes& stale = block.stale[place / 16];
  if (stale.block != block.serial || block.fibers[stale.owner]->proxy_fences != stale.fences) return;
  for (int n = 0; n < 16; n++) {
    if (stale.mask >> n & 1u) to[n] = static_cast<int8_t>(stale.before[n]);
  }
}

/**
 * The columns of a matrix whose depths lie side by side. Bits of the descriptor: 0-13 where it begins, 16-29 from one 16 depths to the next (without an order
 * of pieces alone), 32-45 from eight columns to the next eight, all in 16 bytes; 49-51 the place of the beginning in the order; 62-63 the order: the pieces of 16
 * bytes of rows of 128, 64 or 32 bytes are exchanged by the three, two or one bits of the address from bit 7 on.
 */
void read_matrix(const RunningBlock& block, uint64_t matrix, int8_t (&columns)[kWgmmaColumns][32]) {
  const auto field = [&](int from, int bits) { return static_cast<unsigned>(matrix >> from) & ((1u << bits) - 1u); };
  const unsigned begin = field(0, 14) * 16, along = field(16, 14) * 16, stride = field(32, 14) * 16, order = field(62, 2);
  const unsigned row = order == 0 ? 16 : 256u >> order, bits = order == 0 ? 0 : 4 - order;
  // The beginning may lie some depths into a row; the row itself must begin where the order does.
  if (order != 0 && (begin & (8 * row - 1)) / row != 0) fail("wgmma's matrix begins at 0x%05x, within eight rows of %u bytes", begin, row);
  if (field(49, 3) != 0 || field(14, 2) != 0 || field(30, 2) != 0 || field(46, 3) != 0 || field(52, 10) != 0) {
    fail("wgmma's descriptor 0x%016llx has bits that are not understood", static_cast<unsigned long long>(matrix));
  }
  for (unsigned n = 0; n < kWgmmaColumns; n++) {
    for (unsigned piece = 0; piece < 2; piece++) {
      unsigned place = begin + n / 8 * stride + n % 8 * row + piece * (order == 0 ? along : 16);
      place ^= (place >> 7 & ((1u << bits) - 1u)) << 4;
      read_piece(block, place & 0x3ffffu, columns[n] + 16 * piece);
    }
  }
}

/** Computes a product and writes its sums. */
void end_product(const RunningBlock& block, const Fiber* any, const WarpProduct& product) {
  alignas(64) int8_t rows[16][32], columns[kWgmmaColumns][32];
  alignas(64) int sums[16][kWgmmaColumns];
  for (int lane = 0; lane < 32; lane++) {
    const WarpProduct::Lane& of = product.lanes[lane];
    if (memcmp(of.a, of.words, sizeof of.words) != 0) fail("lane %d of warp %d changed weights while wgmma multiplied them", lane, any->warp);
    for (int n = 0; n < 4; n++) memcpy(&rows[lane / 4 + n % 2 * 8][4 * (lane % 4) + n / 2 * 16], &of.words[n], 4);
  }
  read_matrix(block, product.matrix, columns);
  multiply_s8_16x64x32(rows, columns, sums);
  for (int lane = 0; lane < 32; lane++) {
    const WarpProduct::Lane& of = product.lanes[lane];
    for (int n = 0; n < kWgmmaSums; n++) {
      if (product.first && of.d[n] != kUndefined) fail("lane %d of warp %d wrote sums while wgmma had them", lane, any->warp);
      const uint32_t before = !product.adds ? 0u : product.first ? of.sums[n] : of.d[n];
      of.d[n] = before + static_cast<uint32_t>(sums[lane / 4 + n / 2 % 2 * 8][n / 4 * 8 + lane % 4 * 2 + n % 2]);
    }
  }
}

/** Ends the oldest products of a warp. */
void end_products(RunningBlock& block, const Fiber* any, size_t count) {
  auto& waiting = block.products[any->warp].waiting;
  for (size_t n = 0; n < count; n++) end_product(block, any, waiting[n]);
  waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(count));
}

void begin_together(Fiber* const (&lanes)[32]) {
  const Fiber* any = lanes[0];
  RunningBlock& block = block_of(any);
  WarpProducts& warp = block.products[any->warp];
  const Given of_first = given_by(any);
  WarpProduct product;
  product.matrix = of_first.matrix;
  product.adds = of_first.adds != 0;
  product.group = warp.group;
  product.first = true;
  // Products may follow each other on the same sums without a fence.
  for (auto& [sums, group] : warp.in_use) {
    if (sums != of_first.d) continue;
    product.first = false;
    group = warp.group;
  }
  if (product.first) warp.in_use.push_back({of_first.d, warp.group});
  for (int n = 0; n < 32; n++) {
    const Given given = given_by(lanes[n]);
    if (given.matrix != of_first.matrix || given.adds != of_first.adds) fail("lanes 0 and %d of a warp multiply different matrices by wgmma", n);
    WarpProduct::Lane& lane = product.lanes[n];
    lane.d = given.d;
    lane.a = given.a;
    demand_fenced(lanes[n], given.a, 4, "weights");
    memcpy(lane.words, given.a, sizeof lane.words);
    if (!product.first) continue;
    demand_fenced(lanes[n], given.d, kWgmmaSums, "sums");
    forget_range(lanes[n], given.d);
    memcpy(lane.sums, given.d, sizeof lane.sums);
    for (int each = 0; each < kWgmmaSums; each++) given.d[each] = kUndefined;
  }
  auto& multiplied = block.multiplied[any->warp / 4];
  const uint64_t what = product.matrix ^ (product.adds ? 1ull << 48 : 0);
  if (warp.begun == multiplied.size()) multiplied.push_back(what);
  if (multiplied[warp.begun++] != what) fail("warps of a group multiply different matrices by wgmma");
  warp.waiting.push_back(product);
  const int eager = block.settings.eager;
  if (eager == 1 || (eager == 2 && next_random(block) % 2)) end_products(block, any, warp.waiting.size());
}

}  // namespace

unsigned shared_place(const void* place) {
  const RunningBlock& block = block_of(current());
  const std::ptrdiff_t at = static_cast<const char*>(place) - block.shared_window;
  if (at < 0 || static_cast<size_t>(at) > block.stale.size() * 16) fail("%p is not in the block's dynamic shared memory", place);
  return static_cast<unsigned>(at);
}

void proxy_fence() { current()->proxy_fences++; }

void wgmma_fence_registers(const uint32_t* sums, int count, const uint32_t* a, int words) {
  Fiber* me = current();
  meet_warp(Together::wgmma_fence, ~0u, [](Fiber* const (&)[32]) {});
  for (const auto& [at, size] : {std::pair(sums, count), std::pair(a, words)}) {
    forget_range(me, at);
    me->fenced->ranges.push_back({at, std::vector<uint32_t>(at, at + size)});
  }
}

void wgmma_begin(uint32_t* d, const uint32_t* a, uint64_t matrix, bool adds) {
  Fiber* me = current();
  if (block_of(me).fibers.size() % 128 != 0) fail("wgmma takes groups of four whole warps; the block has %zu threads", block_of(me).fibers.size());
  memcpy(me->in, &d, 8);
  memcpy(me->in + 2, &a, 8);
  memcpy(me->in + 4, &matrix, 8);
  me->in[6] = adds;
  meet_warp(Together::wgmma, ~0u, begin_together);
}

void wgmma_end_group() {
  meet_warp(Together::wgmma_commit, ~0u, [](Fiber* const (&lanes)[32]) {
    RunningBlock& block = block_of(lanes[0]);
    WarpProducts& warp = block.products[lanes[0]->warp];
    warp.group++;
    if (block.settings.eager == 2 && next_random(block) % 2) end_products(block, lanes[0], warp.waiting.size());
  });
}

void wgmma_wait_groups(int pending) {
  current()->in[0] = static_cast<uint32_t>(pending);
  meet_warp(Together::wgmma_wait, ~0u, [](Fiber* const (&lanes)[32]) {
    RunningBlock& block = block_of(lanes[0]);
    WarpProducts& warp = block.products[lanes[0]->warp];
    const auto over = [&](unsigned group) { return group + lanes[0]->in[0] < warp.group; };
    size_t ended = 0;
    while (ended < warp.waiting.size() && over(warp.waiting[ended].group)) ended++;
    end_products(block, lanes[0], ended);
    auto& in_use = warp.in_use;
    in_use.erase(std::remove_if(in_use.begin(), in_use.end(), [&](const auto& each) { return over(each.second); }), in_use.end());
  });
}

void note_copied(RunningBlock& block, const void* to, int bytes) {
  const std::ptrdiff_t at = static_cast<const char*>(to) - block.shared_window;
  if (at < 0 || static_cast<size_t>(at) >= block.stale.size() * 16) return;
  const Fiber* me = current();
  StaleBytes& stale = block.stale[static_cast<size_t>(at) / 16];
  const bool known = stale.block == block.serial && block.fibers[stale.owner]->proxy_fences == stale.fences;
  const unsigned mask = ((1u << bytes) - 1u) << at % 16, changed = known ? mask & ~stale.mask : mask;
  const char* granule = static_cast<const char*>(to) - at % 16;
  for (int n = 0; n < 16; n++) {
    if (changed >> n & 1u) stale.before[n] = static_cast<unsigned char>(granule[n]);
  }
  stale.mask = known ? stale.mask | mask : mask;
  stale.block = block.serial;
  stale.owner = me->index;
  stale.fences = me->proxy_fences;
}

void begin_products(RunningBlock& block) {
  block.serial++;
  for (WarpProducts& warp : block.products) warp = {};
  for (auto& group : block.multiplied) group.clear();
}

std::string unfinished_products(const RunningBlock& block) {
  for (size_t warp = 0; warp < block.products.size(); warp++) {
    if (!block.products[warp].waiting.empty()) return "a warp ended before products that it began by wgmma";
    if (block.products[warp].begun != block.multiplied[warp / 4].size()) return "warps of a group began different numbers of products by wgmma";
  }
  return "";
}

}  // namespace emulation

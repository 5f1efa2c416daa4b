#include "tiling.h"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>

#include "kernels.h"

namespace dsconv {
namespace {

// Positions are those of the tiled side (outputs; transposed: inputs), results those of the side that is read.
struct Geometry {
  Window w;
  bool transposed;
  int height() const { return transposed ? w.in_h : w.out_h; }
  int width() const { return transposed ? w.in_w : w.out_w; }
  int read_width() const { return transposed ? w.out_w : w.in_w; }
  // Row (or column) read at position p by tap k, or -1.
  int y(int p, int k) const { return at(p, k * w.dilation_h - w.pad_top, w.stride_h, transposed ? w.out_h : w.in_h); }
  int x(int p, int k) const { return at(p, k * w.dilation_w - w.pad_left, w.stride_w, transposed ? w.out_w : w.in_w); }
  int at(int p, int offset, int stride, int size) const {
    if (!transposed) return inside(p * stride + offset, size);
    const int v = p - offset;
    return v >= 0 && v % stride == 0 ? inside(v / stride, size) : -1;
  }
  static int inside(int v, int size) { return v >= 0 && v < size ? v : -1; }
};

// Pixels with the same set of taps: a set of rows that see the same kh crossed with a set of columns that see the same kw.
struct Class {
  std::vector<bool> rows_seen, columns_seen;
  std::vector<int32_t> pixels;
  size_t next = 0;
  int taps() const {
    return int(std::count(rows_seen.begin(), rows_seen.end(), true) * std::count(columns_seen.begin(), columns_seen.end(), true));
  }
  size_t left() const { return pixels.size() - next; }
  bool within(const Class& o) const { return subset(rows_seen, o.rows_seen) && subset(columns_seen, o.columns_seen); }
  static bool subset(const std::vector<bool>& a, const std::vector<bool>& b) {
    for (size_t n = 0; n < a.size(); n++) {
      if (a[n] && !b[n]) return false;
    }
    return true;
  }
};

std::vector<Class> classes_of(const Geometry& g) {
  std::map<std::pair<std::vector<bool>, std::vector<bool>>, size_t> known;
  std::vector<Class> classes;
  std::vector<std::vector<bool>> rows(g.height()), columns(g.width());
  for (int p = 0; p < g.height(); p++) for (int k = 0; k < g.w.kh; k++) rows[p].push_back(g.y(p, k) >= 0);
  for (int p = 0; p < g.width(); p++) for (int k = 0; k < g.w.kw; k++) columns[p].push_back(g.x(p, k) >= 0);
  // Row classes and column classes first: few lookups even for large maps.
  std::map<std::vector<bool>, int> row_ids, column_ids;
  std::vector<int> row_id(g.height()), column_id(g.width());
  for (int p = 0; p < g.height(); p++) row_id[p] = row_ids.emplace(rows[p], int(row_ids.size())).first->second;
  for (int p = 0; p < g.width(); p++) column_id[p] = column_ids.emplace(columns[p], int(column_ids.size())).first->second;
  std::vector<int> class_id(row_ids.size() * column_ids.size(), -1);
  for (int y = 0; y < g.height(); y++) {
    for (int x = 0; x < g.width(); x++) {
      int& id = class_id[size_t(row_id[y]) * column_ids.size() + column_id[x]];
      if (id < 0) {
        id = int(classes.size());
        classes.push_back({rows[y], columns[x], {}, 0});
      }
      classes[id].pixels.push_back(y * g.width() + x);
    }
  }
  std::stable_sort(classes.begin(), classes.end(), [](const Class& a, const Class& b) { return a.taps() > b.taps(); });
  return classes;
}

void add_tile(Tiling* t, const Geometry& g, const std::vector<int32_t>& pixels) {
  for (int n = 0; n < kTileRows; n++) t->pixels.push_back(pixels[min_of<size_t>(n, pixels.size() - 1)]);
  t->counts.push_back(uint8_t(pixels.size()));
  for (int kh = 0; kh < g.w.kh; kh++) {
    for (int kw = 0; kw < g.w.kw; kw++) {
      int32_t at[kTileRows];
      bool any = false;
      for (int n = 0; n < kTileRows; n++) {
        const int p = pixels[min_of<size_t>(n, pixels.size() - 1)];
        const int y = g.y(p / g.width(), kh), x = g.x(p % g.width(), kw);
        at[n] = y < 0 || x < 0 ? -1 : y * g.read_width() + x;
        any |= at[n] >= 0;
      }
      if (!any) continue;
      t->taps.push_back(uint16_t(kh * g.w.kw + kw));
      t->index.insert(t->index.end(), at, at + kTileRows);
    }
  }
  t->first.push_back(uint32_t(t->taps.size()));
  t->tiles++;
}

std::shared_ptr<const Tiling> make(const Window& window, bool transposed) {
  const Geometry g{window, transposed};
  auto t = std::make_shared<Tiling>();
  t->first.push_back(0);
  std::vector<Class> classes = classes_of(g);
  std::vector<int32_t> tile;
  for (size_t c = 0; c < classes.size(); c++) {
    Class& cls = classes[c];
    while (cls.left() > 0) {
      // An odd rest is shared out, so that no tile is much shorter than the others.
      const size_t tiles = ceil_div<size_t>(cls.left(), kTileRows);
      const size_t want = cls.left() % kTileRows == 0 || cls.left() > 5 * kTileRows ? kTileRows : ceil_div(cls.left(), tiles);
      tile.clear();
      while (cls.left() > 0 && tile.size() < want) tile.push_back(cls.pixels[cls.next++]);
      if (cls.left() == 0) {
        // Free places go to pixels that see a subset of these taps, the fewest first; at the very end to whatever is left.
        for (size_t o = classes.size(); o-- > c + 1;) {
          const bool fits = classes[o].within(cls) || (cls.taps() <= classes[c].taps() && tile.size() < 3);
          while (fits && classes[o].left() > 0 && tile.size() < size_t{kTileRows}) tile.push_back(classes[o].pixels[classes[o].next++]);
        }
      }
      add_tile(t.get(), g, tile);
    }
  }
  return t;
}

using Key = std::vector<int32_t>;

Key key_of(const Window& w, bool transposed) {
  return {transposed, w.in_h, w.in_w, w.out_h, w.out_w, w.kh, w.kw, w.stride_h, w.stride_w, w.dilation_h, w.dilation_w, w.pad_top, w.pad_left};
}

}  // namespace

std::shared_ptr<const Tiling> tiling_of(const Window& window, bool transposed) {
  static std::mutex mutex;
  // Plans hold their tilings; the cache keeps the last few alive for eager calls.
  static auto* known = new std::map<Key, std::weak_ptr<const Tiling>>();
  static auto* recent = new std::deque<std::shared_ptr<const Tiling>>();
  constexpr size_t kRecent = 24;
  const std::lock_guard<std::mutex> lock(mutex);
  std::weak_ptr<const Tiling>& slot = (*known)[key_of(window, transposed)];
  std::shared_ptr<const Tiling> tiling = slot.lock();
  if (tiling) return tiling;
  if (known->size() > 512) {
    for (auto it = known->begin(); it != known->end();) it = it->second.expired() && &it->second != &slot ? known->erase(it) : std::next(it);
  }
  tiling = make(window, transposed);
  slot = tiling;
  recent->push_back(tiling);
  if (recent->size() > kRecent) recent->pop_front();
  return tiling;
}

}  // namespace dsconv

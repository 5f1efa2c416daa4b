// The known-answer test passes for the kernels in use, and finds each kernel that computes wrong.
#include "../src/kernels.h"
#include "../src/self_test.h"
#include "test.h"

using namespace dsconv;

namespace {

const Kernels* right;
int storage_at;

// Each calls the real kernel and damages one value of its result.
void wrong_tile(const TileArgs& a) {
  right->dsconv2d_tile[storage_at](a);
  a.out[0] += 1;
}
void wrong_epilogue(const EpilogueArgs& e) {
  right->epilogue(e);
  e.tile[e.channels - 1] += 1;
}
bool wrong_quantize(const QuantizeArgs& q) {
  const bool huge = right->quantize(q);
  q.mantissas[0][q.length - 1] ^= 1;
  return huge;
}
bool wrong_second(FinishArgs& a) {
  const bool huge = right->finish_second(a);
  a.rows->mantissas[0][a.c0] ^= 4;
  return huge;
}
void wrong_decode(const DecodeArgs& d) {
  right->decode(d);
  d.out[d.length - 1] += 1;
}
void wrong_stem(const StemArgs& a) {
  (right->stem_tile_bf16 ? right->stem_tile_bf16 : right->stem_tile)(a);
  a.out[0] += 1;
}
void wrong_depthwise(const DepthwiseArgs& a) {
  right->depthwise(a);
  a.out[0] += 1;
}
void wrong_float(const FloatArgs& a) {
  right->float_tile(a);
  a.out[0] += 1;
}
void wrong_outer(const OuterArgs& a) {
  right->outer_tile(a);
  a.out[0] += 1;
}
void wrong_max(const float* const* rows, int count, int channels, float* out) {
  right->max_rows(rows, count, channels, out);
  out[channels - 1] += 1;
}
void wrong_add(const float* const* rows, int count, int channels, float* out) {
  right->add_rows(rows, count, channels, out);
  out[0] += 1;
}

void expect_found(const Kernels& damaged, const char* what) {
  use_kernels(&damaged);
  const std::string wrong = self_test();
  use_kernels(right);
  if (wrong.empty()) fail_test("the self-test does not find a wrong %s of %s", what, right->isa);
}

}  // namespace

void test_self(int) {
  const std::string wrong = self_test();
  if (!wrong.empty()) fail_test("%s", wrong.c_str());
  right = &kernels();
  for (storage_at = 0; storage_at < 3; storage_at++) {
    Kernels k = *right;
    k.dsconv2d_tile[storage_at] = wrong_tile;
    expect_found(k, "dsconv2d_tile");
  }
  const auto with = [](const char* what, auto&& damage) {
    Kernels k = *right;
    damage(k);
    expect_found(k, what);
  };
  with("epilogue", [](Kernels& k) { k.epilogue = wrong_epilogue; });
  with("quantize", [](Kernels& k) { k.quantize = wrong_quantize; });
  if (right->finish_second) with("finish_second", [](Kernels& k) { k.finish_second = wrong_second; });
  with("decode", [](Kernels& k) { k.decode = wrong_decode; });
  with("stem", [](Kernels& k) { (k.stem_tile_bf16 ? k.stem_tile_bf16 : k.stem_tile) = wrong_stem; });
  with("depthwise", [](Kernels& k) { k.depthwise = wrong_depthwise; });
  with("float_tile", [](Kernels& k) { k.float_tile = wrong_float; });
  with("outer_tile", [](Kernels& k) { k.outer_tile = wrong_outer; });
  with("max_rows", [](Kernels& k) { k.max_rows = wrong_max; });
  with("add_rows", [](Kernels& k) { k.add_rows = wrong_add; });
}

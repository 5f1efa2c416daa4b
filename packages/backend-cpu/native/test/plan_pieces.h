// Pieces of which tests make plans.
#pragma once

#include "../src/plan.h"
#include "test.h"

// A filter with random integers and scales.
struct Numbers {
  std::vector<int8_t> q;
  std::vector<float> scales;
  dsconv::FilterSource source;
  Numbers(Random& rnd, int bits, int taps, int depth, int outputs, int block, bool per_channel) : q(size_t(taps) * depth * outputs), scales(size_t(taps) * dsconv::ceil_div(depth, block) * outputs) {
    const int low = -(1 << (bits - 1));
    for (auto& v : q) v = int8_t(rnd.integer(low, -low - 1));
    for (auto& v : scales) v = rnd.real(-0.05f, 0.05f);
    source.bits = bits;
    source.q = q.data();
    source.taps = taps;
    source.depth = depth;
    source.outputs = outputs;
    source.block = block;
    source.scales = scales.data();
    source.per_channel = per_channel;
  }
};

inline dsconv::StepDesc step(dsconv::Op op, const char* name, std::vector<int> inputs, std::vector<int> outputs) {
  dsconv::StepDesc s;
  s.op = op;
  s.name = name;
  s.inputs = std::move(inputs);
  s.outputs = std::move(outputs);
  return s;
}

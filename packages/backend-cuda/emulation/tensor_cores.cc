// Products of whole warps. Fragments are laid out as PTX has them for m16n8k32 with s8.
#include "runtime.h"

namespace emulation {

void multiply_s8_16x8x32(Fiber* const (&lanes)[32]) {
  alignas(64) int16_t rows[16][32], columns[8][32];
  const auto spread = [](int16_t* to, uint32_t word) {
    for (int n = 0; n < 4; n++) to[n] = static_cast<int8_t>(word >> (8 * n));
  };
  for (const Fiber* lane : lanes) {
    const int g = lane->lane / 4, depth = 4 * (lane->lane % 4);
    spread(&rows[g][depth], lane->in[0]);
    spread(&rows[g + 8][depth], lane->in[1]);
    spread(&rows[g][depth + 16], lane->in[2]);
    spread(&rows[g + 8][depth + 16], lane->in[3]);
    spread(&columns[g][depth], lane->in[4]);
    spread(&columns[g][depth + 16], lane->in[5]);
  }
  for (int i = 0; i < 16; i++) {
    for (int j = 0; j < 8; j++) {
      int sum = 0;
      for (int k = 0; k < 32; k++) sum += rows[i][k] * columns[j][k];
      lanes[(i % 8) * 4 + j / 2]->out[i / 8 * 2 + j % 2] = static_cast<uint32_t>(sum);
    }
  }
}

void multiply_s8_16x64x32(const int8_t (&rows)[16][32], const int8_t (&columns)[kWgmmaColumns][32], int (&sums)[16][kWgmmaColumns]) {
  alignas(64) int16_t wide[kWgmmaColumns][32];
  for (int j = 0; j < kWgmmaColumns; j++) {
    for (int k = 0; k < 32; k++) wide[j][k] = columns[j][k];
  }
  for (int i = 0; i < 16; i++) {
    alignas(64) int16_t row[32];
    for (int k = 0; k < 32; k++) row[k] = rows[i][k];
    for (int j = 0; j < kWgmmaColumns; j++) {
      int sum = 0;
      for (int k = 0; k < 32; k++) sum += row[k] * wide[j][k];
      sums[i][j] = sum;
    }
  }
}

}  // namespace emulation

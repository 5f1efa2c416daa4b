// check [effort]: every test for every instruction set this machine has.
#include <cstring>

#include "../src/kernels.h"
#include "test.h"

void test_dsconv2d(int effort);
void test_float(int effort);

int main(int argc, char** argv) {
  const int effort = argc > 1 ? std::atoi(argv[1]) : 4;
  int count = 0;
  const char* const* isas = dsconv::available_isas(&count);
  for (int n = 0; n < count; n++) {
    if (argc > 2 && std::strcmp(argv[2], isas[n]) != 0) continue;
    dsconv::select_kernels(isas[n]);
    test_dsconv2d(effort);
    test_float(effort);
    std::printf("%s: all right\n", isas[n]);
  }
  return 0;
}

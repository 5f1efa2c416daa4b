// Which instruction set serves: the best the machine has, or the one DSCONV_CPU_ISA names.
#include <atomic>
#include <cstdlib>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#include "kernels.h"

namespace dsconv {
namespace {

struct Sets {
  const Kernels* all[5];
  const char* names[5];
  int count = 0;
  void add(const Kernels* k) {
    names[count] = k->isa;
    all[count++] = k;
  }
  Sets() {
#if defined(__x86_64__) || defined(_M_X64)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni")) {
      add(kernels_avx512vnni());
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
      if (has_avx_vnni()) add(kernels_avxvnni());
      add(kernels_avx2());
    }
#elif defined(__aarch64__)
    if (has_dot_product()) add(kernels_neon());
#endif
    add(kernels_portable());
  }
#if defined(__aarch64__)
  // Optional before Armv8.4; every Mac has it.
  static bool has_dot_product() {
#if defined(__APPLE__)
    return true;
#elif defined(__linux__)
    return (getauxval(AT_HWCAP) >> 20) & 1;  // HWCAP_ASIMDDP
#else
    return false;
#endif
  }
#endif
#if defined(__x86_64__)
  // CPUID leaf 7, subleaf 1, EAX bit 4; older compilers have no name for it.
  static bool has_avx_vnni() {
    uint32_t a = 7, b, c = 1, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return (a >> 4) & 1;
  }
#endif
};

const Sets& sets() {
  static const Sets* all = new Sets();
  return *all;
}

const Kernels* find(const std::string& isa) {
  for (int n = 0; n < sets().count; n++) {
    if (isa == sets().names[n]) return sets().all[n];
  }
  return nullptr;
}

const Kernels* first_choice() {
  const char* forced = std::getenv("DSCONV_CPU_ISA");
  const Kernels* k = forced && *forced ? find(forced) : nullptr;
  return k ? k : sets().all[0];
}

std::atomic<const Kernels*>& current() {
  static std::atomic<const Kernels*> set{first_choice()};
  return set;
}

}  // namespace

const Kernels& kernels() { return *current().load(std::memory_order_relaxed); }

bool select_kernels(const std::string& isa) {
  const Kernels* k = find(isa);
  if (k) current().store(k);
  return k != nullptr;
}

void use_kernels(const Kernels* set) { current().store(set); }

const char* const* available_isas(int* count) {
  *count = sets().count;
  return sets().names;
}

}  // namespace dsconv

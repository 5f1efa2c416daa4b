// check [--isa a,b] [--effort n] [--only name] [--lacks isa]: every test for every instruction set this machine has;
// `best` names the first of them.
#include <cstring>

#include "../src/kernels.h"
#include "test.h"

void test_dsconv2d(int effort);
void test_float(int effort);
void test_plan(int effort);
void test_bounds(int effort);
void test_self(int effort);
void test_fused(int effort);

namespace {

struct Test {
  const char* name;
  void (*run)(int effort);
};
const Test kTests[] = {{"dsconv2d", test_dsconv2d}, {"float", test_float}, {"plan", test_plan}, {"bounds", test_bounds}, {"self", test_self}, {"fused", test_fused}};

bool lists(const std::string& list, const char* name) { return list.empty() || ("," + list + ",").find("," + std::string(name) + ",") != std::string::npos; }

}  // namespace

int main(int argc, char** argv) {
  std::string only, isa_list, lacks;
  int effort = 4;
  for (int n = 1; n < argc; n += 2) {
    const std::string option = argv[n], value = n + 1 < argc ? argv[n + 1] : "";
    if (option == "--isa") isa_list = value;
    else if (option == "--effort") effort = std::atoi(value.c_str());
    else if (option == "--only") only = value;
    else if (option == "--lacks") lacks = value;
    else fail_test("option %s is not known", option.c_str());
  }
  int count = 0, ran = 0;
  const char* const* isas = dsconv::available_isas(&count);
  for (int n = 0; n < count; n++) {
    if (lacks == isas[n]) fail_test("%s is offered on a machine without it", isas[n]);
    if (!lists(isa_list, isas[n]) && !(n == 0 && lists(isa_list, "best"))) continue;
    dsconv::select_kernels(isas[n]);
    for (const Test& test : kTests) {
      if (!lists(only, test.name)) continue;
      test.run(effort);
      ran++;
    }
    std::printf("%s: all right\n", isas[n]);
    std::fflush(stdout);
  }
  if (!ran) fail_test("no test has the names given");
  return 0;
}

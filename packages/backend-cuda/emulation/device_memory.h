// The memory of the device that does not exist: every allocation lies at the end of its own pages, far from all others in a range of addresses that nobody may
// touch, between bytes that nobody may change, and is poisoned when it is taken. Freed memory stays forbidden until the range has been gone through once.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>

namespace emulation {

class DeviceMemory {
 public:
  /** 0 where it does not fit into the limit. */
  uint64_t allocate(size_t bytes, size_t limit);
  /** False for what is not an allocation (any more). */
  bool free(uint64_t address);
  /** True where all of these bytes lie in one allocation. */
  bool holds(uint64_t address, size_t bytes) const;
  /** Which allocation an address outside of all is near to, or was in, as half a sentence. Empty where there is none. */
  std::string describe(uint64_t address) const;
  /** What was written around the allocation that has this address, as a sentence without its subject; empty where nothing was. */
  std::string damage_near(uint64_t address);
  std::string damage_anywhere();
  size_t used() const { return used_; }
  size_t count() const { return live_.size(); }
  void free_all();

 private:
  struct Allocation {
    size_t bytes;
    char* pages;
    size_t page_bytes;
  };
  /** Pages for an allocation, within the range. Null where there are none left. */
  char* find_pages(size_t bytes);
  static std::string damage(uint64_t address, const Allocation& allocation);
  void forbid(uint64_t address, const Allocation& allocation);

  std::map<uint64_t, Allocation> live_;
  std::deque<std::pair<uint64_t, Allocation>> forbidden_;
  size_t used_ = 0;
  char* range_ = nullptr;
  size_t next_ = 0;
};

}  // namespace emulation

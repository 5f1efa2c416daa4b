#include "device_memory.h"

#include <sys/mman.h>

#include <cstring>

#include "runtime.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(from, bytes) static_cast<void>(0)
#define ASAN_UNPOISON_MEMORY_REGION(from, bytes) static_cast<void>(0)
#endif

namespace emulation {
namespace {

constexpr size_t kPage = 4096, kAlignment = 256;
/** What surrounds an allocation within its own pages. */
constexpr unsigned char kGuard = 0xc5;
/** Addresses that are set aside for the device, and those between two allocations. */
constexpr size_t kRange = size_t(1) << 40, kGap = size_t(1) << 24;
/** Freed allocations that are remembered, to be named. */
constexpr size_t kForbidden = 2048;

size_t round_up(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

/** Place of the first byte that is not the guard's, or -1. */
[[maybe_unused]] std::ptrdiff_t first_change(const char* from, const char* to) {
  for (const char* at = from; at < to; at++) {
    if (static_cast<unsigned char>(*at) != kGuard) return at - from;
  }
  return -1;
}

}  // namespace

uint64_t DeviceMemory::allocate(size_t bytes, size_t limit) {
  const size_t taken = round_up(bytes, kAlignment);
  if (bytes == 0 || taken > limit || used_ > limit - taken) return 0;
  const size_t inner = round_up(taken, kPage);
  char* first = find_pages(inner);
  if (first == nullptr || mprotect(first, inner, PROT_READ | PROT_WRITE) != 0) return 0;
  char* begin = first + inner - taken;
  memset(first, kGuard, static_cast<size_t>(begin - first));
  memset(begin, kPoison, bytes);
  memset(begin + bytes, kGuard, taken - bytes);
  ASAN_POISON_MEMORY_REGION(first, static_cast<size_t>(begin - first));
  ASAN_POISON_MEMORY_REGION(begin + bytes, taken - bytes);
  const uint64_t address = reinterpret_cast<uint64_t>(begin);
  live_[address] = {bytes, first, inner};
  used_ += taken;
  return address;
}

char* DeviceMemory::find_pages(size_t bytes) {
  if (range_ == nullptr) {
    void* range = mmap(nullptr, kRange, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) return nullptr;
    range_ = static_cast<char*>(range);
  }
  const size_t whole = bytes + 2 * kGap;
  if (whole > kRange) return nullptr;
  for (int rounds = 0; rounds < 2;) {
    if (next_ + whole > kRange) {
      next_ = 0;
      rounds++;
      continue;
    }
    char* pages = range_ + next_ + kGap;
    // Live allocations that this one would come too near to.
    const auto after = live_.upper_bound(reinterpret_cast<uint64_t>(pages + bytes + kGap));
    if (after == live_.begin()) {
      next_ += bytes + kGap;
      return pages;
    }
    const Allocation& before = std::prev(after)->second;
    const size_t end = static_cast<size_t>(before.pages + before.page_bytes - range_);
    if (end <= next_) {
      next_ += bytes + kGap;
      return pages;
    }
    next_ = end;
  }
  return nullptr;
}

bool DeviceMemory::free(uint64_t address) {
  const auto found = live_.find(address);
  if (found == live_.end()) return false;
  used_ -= round_up(found->second.bytes, kAlignment);
  forbid(address, found->second);
  live_.erase(found);
  return true;
}

void DeviceMemory::free_all() {
  for (const auto& [address, allocation] : live_) forbid(address, allocation);
  live_.clear();
  used_ = 0;
}

void DeviceMemory::forbid(uint64_t address, const Allocation& allocation) {
  ASAN_UNPOISON_MEMORY_REGION(allocation.pages, allocation.page_bytes);
  mmap(allocation.pages, allocation.page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  forbidden_.emplace_back(address, allocation);
  if (forbidden_.size() > kForbidden) forbidden_.pop_front();
}

bool DeviceMemory::holds(uint64_t address, size_t bytes) const {
  auto after = live_.upper_bound(address);
  if (after == live_.begin()) return false;
  const auto& [begin, allocation] = *std::prev(after);
  const uint64_t offset = address - begin;
  return offset <= allocation.bytes && bytes <= allocation.bytes - offset;
}

std::string DeviceMemory::describe(uint64_t address) const {
  const auto within = [address](const Allocation& allocation) {
    const uint64_t pages = reinterpret_cast<uint64_t>(allocation.pages);
    return address >= pages - kGap / 2 && address < pages + allocation.page_bytes + kGap / 2;
  };
  for (const auto& [begin, allocation] : live_) {
    if (!within(allocation)) continue;
    const auto offset = static_cast<int64_t>(address - begin);
    return "offset " + std::to_string(offset) + " of an allocation of " + std::to_string(allocation.bytes) + " bytes";
  }
  for (const auto& [begin, allocation] : forbidden_) {
    if (within(allocation)) return "in or near an allocation of " + std::to_string(allocation.bytes) + " bytes that was freed";
  }
  return "";
}

std::string DeviceMemory::damage(uint64_t address, const Allocation& allocation) {
#ifdef __SANITIZE_ADDRESS__
  // Who writes there has been reported already, and looking is forbidden too.
  static_cast<void>(address);
  static_cast<void>(allocation);
  return "";
#else
  const char* begin = reinterpret_cast<const char*>(address);
  const char* first = allocation.pages;
  const char* end = allocation.pages + allocation.page_bytes;
  std::ptrdiff_t at = first_change(first, begin);
  if (at >= 0) {
    at += first - begin;
  } else if ((at = first_change(begin + allocation.bytes, end)) >= 0) {
    at += static_cast<std::ptrdiff_t>(allocation.bytes);
  } else {
    return "";
  }
  return "wrote outside of an allocation of " + std::to_string(allocation.bytes) + " bytes, at offset " + std::to_string(at);
#endif
}

std::string DeviceMemory::damage_near(uint64_t address) {
  auto after = live_.upper_bound(address);
  if (after == live_.begin()) return "";
  const auto& [begin, allocation] = *std::prev(after);
  return address - begin <= allocation.bytes ? damage(begin, allocation) : "";
}

std::string DeviceMemory::damage_anywhere() {
  for (const auto& [address, allocation] : live_) {
    const std::string found = damage(address, allocation);
    if (!found.empty()) return found;
  }
  return "";
}

}  // namespace emulation

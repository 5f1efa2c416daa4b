// Memory of a device, and copies that nobody waits for with a promise.
#include "device.h"

namespace dsconv {

Napi::Value Device::malloc(const Info& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(context_->malloc(size_of(info[0], "bytes", 1))));
}

void Device::free(const Info& info) { context_->free(address_of(info[0], "address")); }

Napi::Value Device::memory_info(const Info& info) {
  size_t free = 0, total = 0;
  context_->driver.check(context_->driver.cuMemGetInfo_v2(&free, &total), "the device does not tell its memory");
  const Napi::Object result = Napi::Object::New(info.Env());
  result.Set("free", static_cast<double>(free));
  result.Set("total", static_cast<double>(total));
  return result;
}

void Device::write(const Info& info) {
  const CUdeviceptr address = address_of(info[0], "address");
  const CUstream stream = context_->stream(handle_of(info[2], "stream"), "written to");
  const Bytes view = bytes_of(info[1], "view");
  context_->expect_inside(address, view.length, "the bytes to write");
  if (view.length == 0) return;
  // From memory that is not pinned: the driver has copied it when it returns.
  context_->driver.check(context_->driver.cuMemcpyHtoDAsync_v2(address, view.data, view.length, stream), "a copy to the device failed");
}

void Device::copy(const Info& info) {
  const CUdeviceptr to = address_of(info[0], "to"), from = address_of(info[1], "from");
  const size_t bytes = size_of(info[2], "bytes", 0);
  const CUstream stream = context_->stream(handle_of(info[3], "stream"));
  context_->expect_inside(to, bytes, "the bytes to copy to");
  context_->expect_inside(from, bytes, "the bytes to copy from");
  if (bytes == 0) return;
  if (to < from + bytes && from < to + bytes) fail_range("the bytes to copy to overlap those to copy from");
  context_->driver.check(context_->driver.cuMemcpyDtoDAsync_v2(to, from, bytes, stream), "a copy on the device failed");
}

void Device::fill32(const Info& info) {
  const CUdeviceptr address = address_of(info[0], "address");
  const double value = integer_of(info[1], "value", -2147483648.0, 4294967295.0);
  const size_t count = size_of(info[2], "count", 0);
  const CUstream stream = context_->stream(handle_of(info[3], "stream"));
  if (address % 4 != 0) fail_range("address is " + std::to_string(address) + "; expected a multiple of 4");
  if (count > SIZE_MAX / 4) fail_range("count is " + std::to_string(count) + ", which is too large");
  context_->expect_inside(address, 4 * count, "the bytes to fill");
  if (count == 0) return;
  const unsigned word = value < 0 ? static_cast<unsigned>(static_cast<int>(value)) : static_cast<unsigned>(value);
  context_->driver.check(context_->driver.cuMemsetD32Async(address, word, count, stream), "a fill failed");
}

void Device::read_sync(const Info& info) {
  const CUdeviceptr address = address_of(info[0], "address");
  const CUstream stream = context_->stream(handle_of(info[2], "stream"), "read");
  const Bytes view = bytes_of(info[1], "view");
  context_->expect_inside(address, view.length, "the bytes to read");
  const Driver& driver = context_->driver;
  if (view.length > 0) driver.check(driver.cuMemcpyDtoHAsync_v2(view.data, address, view.length, stream), "a copy from the device failed");
  driver.check(driver.cuStreamSynchronize(stream), "a copy from the device, or work before it, failed");
}

}  // namespace dsconv

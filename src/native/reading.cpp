#include "reading.h"

#include <algorithm>
#include <atomic>

namespace triptych {
namespace {

constexpr long kPart = 16 * 1024;  // bytes: as much as one panel of a matrix is

}  // namespace

Reader::Reader(const Kernels& kernels, std::shared_ptr<Pool> pool, size_t bytes)
    : kernels_(kernels), pool_(std::move(pool)), buffer_((bytes + 63) / 64 * 16) {
  std::fill_n(buffer_.data(), buffer_.size(), 1);
}

int64_t Reader::read() {
  const char* data = reinterpret_cast<const char*>(buffer_.data());
  const long all = static_cast<long>(bytes()), parts = (all + kPart - 1) / kPart;
  std::atomic<int64_t> sum{0};
  pool_->run(parts, std::max(1L, parts / (pool_->threads() * 4L)), [&](int, long first, long last) {
    const long from = first * kPart, to = std::min(last * kPart, all);
    sum.fetch_add(kernels_.sum(data + from, to - from), std::memory_order_relaxed);
  });
  return sum.load();
}

}  // namespace triptych

// Memory on cache lines, and on huge pages where it is large: weights are read from end to end at each step.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace triptych {

template <typename T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t count) { need(count); }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Buffer() { std::free(data_); }

  T* data() const { return data_; }
  size_t size() const { return count_; }
  T& operator[](size_t i) const { return data_[i]; }

  // Room for `count` items, zeros at first; a larger buffer forgets what it held.
  T* need(size_t count) {
    if (count <= count_) return data_;
    constexpr size_t huge = size_t{2} << 20;
    const size_t align = count * sizeof(T) >= huge ? huge : 64;
    const size_t bytes = (count * sizeof(T) + align - 1) / align * align;
    void* made = std::aligned_alloc(align, bytes);
    if (made == nullptr) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (align == huge) madvise(made, bytes, MADV_HUGEPAGE);
#endif
    std::memset(made, 0, bytes);
    std::free(data_);
    data_ = static_cast<T*>(made);
    count_ = count;
    return data_;
  }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
  }

  T* data_ = nullptr;
  size_t count_ = 0;
};

}  // namespace triptych

// Memory on cache lines, and on huge pages where it is large: weights are read from end to end at each step.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <deque>
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
    if (count > count_) std::memset(room(count), 0, count * sizeof(T));
    return data_;
  }

  // The same, of whatever the memory held.
  T* room(size_t count) {
    if (count <= count_) return data_;
    constexpr size_t huge = size_t{2} << 20;
    const size_t align = count * sizeof(T) >= huge ? huge : 64;
    const size_t bytes = (count * sizeof(T) + align - 1) / align * align;
    void* made = std::aligned_alloc(align, bytes);
    if (made == nullptr) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (align == huge) madvise(made, bytes, MADV_HUGEPAGE);
#endif
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

// Pieces of memory that stay until the end, one behind another on huge pages: matrices that are read one after another, each
// smaller than such a page, would otherwise lie on small ones, whose addresses cost half the time of a step to find.
class Arena {
 public:
  // So many bytes, zeros, on a cache line.
  char* take(size_t bytes) {
    bytes = (bytes + 63) / 64 * 64;
    if (bytes > left_) {
      constexpr size_t chunk = size_t{32} << 20;  // what nobody has written to takes no memory
      left_ = bytes > chunk ? bytes : chunk;
      kept_.emplace_back();
      next_ = kept_.back().room(left_);
    }
    char* out = next_;
    next_ += bytes, left_ -= bytes;
    std::memset(out, 0, bytes);
    return out;
  }

 private:
  std::deque<Buffer<char>> kept_;
  char* next_ = nullptr;
  size_t left_ = 0;
};

}  // namespace triptych

// Reading memory from end to end and doing nothing else: what bounds a step of few rows, which reads each weight once.
#pragma once
#include <memory>

#include "level.h"
#include "memory.h"
#include "pool.h"

namespace triptych {

class Reader {
 public:
  // A buffer of so many bytes (rounded up to whole lines of 64), kept as weights are.
  Reader(const Kernels& kernels, std::shared_ptr<Pool> pool, size_t bytes);

  // Read all of it, shared by the threads as a product shares its weights. Gives the sum of its 32-bit numbers, all of
  // which are 1: who asks for it can tell that nothing was left out.
  int64_t read();
  size_t bytes() const { return buffer_.size() * sizeof(int32_t); }

 private:
  const Kernels& kernels_;
  std::shared_ptr<Pool> pool_;
  Buffer<int32_t> buffer_;
};

}  // namespace triptych

// Weights as they come (named float32 arrays) and as the kernels want them (packed panels).
#pragma once
#include <map>
#include <string>
#include <vector>

#include "level.h"
#include "memory.h"

namespace triptych {

struct Tensor {
  const float* data;
  std::vector<long> shape;
};

// Named arrays; std::invalid_argument where one is missing, has another shape, or holds what isn't a number.
class Tensors {
 public:
  void add(const std::string& name, Tensor tensor) { tensors_[name] = std::move(tensor); }
  bool has(const std::string& name) const { return tensors_.count(name) > 0; }
  const float* get(const std::string& name, const std::vector<long>& shape) const;

 private:
  std::map<std::string, Tensor> tensors_;
};

// Owns what it packs and copies.
class Packer {
 public:
  Packer(const Kernels& kernels, Precision precision) : kernels_(kernels), precision_(precision) {}

  // (outputs, inputs) row-major. `gated`: the first half of the outputs are gates, each panel gets as many of both.
  // Inputs are padded to a multiple of 8, and so must be the rows that meet the matrix.
  Matrix matrix(const float* weight, long outputs, long inputs, bool gated = false);
  Matrix exact(const float* weight, long outputs, long inputs);  // float32 whatever the precision is
  const float* copy(const float* data, long count, long room = 0);  // padded with zeros up to `room`
  size_t bytes() const { return bytes_; }

 private:
  Matrix pack(const float* weight, long outputs, long inputs, bool gated, Precision precision);
  void place(const float* row, long inputs, char* to, long i, const Matrix& m) const;  // at place i of a panel
  char* take(size_t count);                                                            // so many bytes, zeros

  const Kernels& kernels_;
  Precision precision_;
  Arena arena_;
  size_t bytes_ = 0;
};

constexpr long padded(long count, long multiple) { return (count + multiple - 1) / multiple * multiple; }

}  // namespace triptych

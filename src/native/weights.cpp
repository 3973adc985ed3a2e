#include "weights.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace triptych {
namespace {

std::string text(const std::vector<long>& shape) {
  std::string out = "(";
  for (size_t i = 0; i < shape.size(); i++) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + ")";
}

uint32_t bfloat16(float value) {  // rounds to nearest, ties to even
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

}  // namespace

const float* Tensors::get(const std::string& name, const std::vector<long>& shape) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw std::invalid_argument("weights: " + name + " is missing");
  const Tensor& tensor = found->second;
  if (tensor.shape != shape)
    throw std::invalid_argument("weights: " + name + " has shape " + text(tensor.shape) + ", expected " + text(shape));
  long count = 1;
  for (long side : shape) count *= side;
  if (!std::all_of(tensor.data, tensor.data + count, [](float v) { return std::isfinite(v); }))
    throw std::invalid_argument("weights: " + name + " holds values that are not finite");
  return tensor.data;
}

template <typename T>
T* Packer::take(size_t count) {
  kept_.emplace_back(count * sizeof(T));
  bytes_ += count * sizeof(T);
  return reinterpret_cast<T*>(kept_.back().data());
}

Matrix Packer::matrix(const float* weight, long outputs, long inputs, bool gated) {
  return pack(weight, outputs, inputs, gated, precision_);
}

Matrix Packer::exact(const float* weight, long outputs, long inputs) {
  return pack(weight, outputs, inputs, false, Precision::fp32);
}

const float* Packer::copy(const float* data, long count, long room) {
  float* out = take<float>(static_cast<size_t>(std::max(count, room)));
  std::memcpy(out, data, sizeof(float) * static_cast<size_t>(count));
  return out;
}

Matrix Packer::pack(const float* weight, long outputs, long inputs, bool gated, Precision precision) {
  const long panel = kernels_.panel, half = panel / 2;
  Matrix m;
  m.outputs = outputs, m.inputs = padded(inputs, 8), m.panels = padded(outputs, panel) / panel, m.precision = precision;
  // The row of the weights that stands at place `at` of all panels; null is padding.
  const auto source = [&](long at) -> const float* {
    if (gated) at = at / panel * half + at % half + (at % panel < half ? 0 : outputs / 2);
    return at < outputs ? weight + at * inputs : nullptr;
  };
  const long all = m.panels * panel;
  if (precision == Precision::fp32) {
    float* out = take<float>(static_cast<size_t>(all * m.inputs));
    for (long at = 0; at < all; at++)
      if (const float* row = source(at))
        for (long k = 0; k < inputs; k++) out[(at / panel * m.inputs + k) * panel + at % panel] = row[k];
    m.data = out;
  } else if (precision == Precision::bf16) {
    uint32_t* out = take<uint32_t>(static_cast<size_t>(all / 2 * m.inputs));
    for (long at = 0; at < all; at++)
      if (const float* row = source(at))
        for (long k = 0; k < inputs; k++)
          out[(at / panel * m.inputs + k) * half + at % half] |= bfloat16(row[k]) << (at % panel < half ? 0 : 16);
    m.data = out;
  } else {
    int8_t* out = take<int8_t>(static_cast<size_t>(all * m.inputs));
    float* scale = take<float>(static_cast<size_t>(all));
    int32_t* start = take<int32_t>(static_cast<size_t>(all));
    for (long at = 0; at < all; at++) {
      const float* row = source(at);
      if (row == nullptr) continue;
      float top = 0.0f;
      for (long k = 0; k < inputs; k++) top = std::max(top, std::fabs(row[k]));
      if (top < 1e-30f) continue;
      scale[at] = top / 127.0f;
      int32_t sum = 0;
      for (long k = 0; k < inputs; k++) {
        const int8_t value = static_cast<int8_t>(std::lrintf(row[k] * (127.0f / top)));
        sum += value;
        out[((at / panel * m.inputs / 4 + k / 4) * panel + at % panel) * 4 + k % 4] = value;
      }
      start[at] = kernels_.unsigned8 ? -128 * sum : 0;
    }
    m.data = out, m.scale = scale, m.start = start;
  }
  return m;
}

}  // namespace triptych

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

char* Packer::take(size_t count) {
  bytes_ += count;
  return arena_.take(count);
}

Matrix Packer::matrix(const float* weight, long outputs, long inputs, bool gated) {
  return pack(weight, outputs, inputs, gated, precision_);
}

Matrix Packer::exact(const float* weight, long outputs, long inputs) {
  return pack(weight, outputs, inputs, false, Precision::fp32);
}

const float* Packer::copy(const float* data, long count, long room) {
  char* out = take(sizeof(float) * static_cast<size_t>(std::max(count, room)));
  std::memcpy(out, data, sizeof(float) * static_cast<size_t>(count));
  return reinterpret_cast<float*>(out);
}

Matrix Packer::pack(const float* weight, long outputs, long inputs, bool gated, Precision precision) {
  const long panel = kernels_.panel, half = panel / 2;
  const long size = precision == Precision::int8 ? 1 : precision == Precision::bf16 ? 2 : 4;
  Matrix m;
  m.outputs = outputs, m.inputs = padded(inputs, 8), m.panels = padded(outputs, panel) / panel, m.precision = precision;
  m.stride = panel * m.inputs * size + (precision == Precision::int8 ? 8 * panel : 0);
  char* data = take(static_cast<size_t>(m.panels * m.stride));
  m.data = data;
  for (long at = 0; at < m.panels * panel; at++) {  // the row of weights that stands at place `i` of a panel
    char* to = data + at / panel * m.stride;
    const long i = at % panel;
    const long row = !gated ? at : at / panel * half + i % half + (i < half ? 0 : outputs / 2);
    if (row < outputs) place(weight + row * inputs, inputs, to, i, m);
  }
  return m;
}

void Packer::place(const float* row, long inputs, char* to, long i, const Matrix& m) const {
  const long panel = kernels_.panel, half = panel / 2;
  if (m.precision == Precision::fp32) {
    float* out = reinterpret_cast<float*>(to);
    for (long k = 0; k < inputs; k++) out[k * panel + i] = row[k];
  } else if (m.precision == Precision::bf16) {
    uint32_t* out = reinterpret_cast<uint32_t*>(to);
    for (long k = 0; k < inputs; k++) out[k * half + i % half] |= bfloat16(row[k]) << (i < half ? 0 : 16);
  } else {
    float top = 0.0f;
    for (long k = 0; k < inputs; k++) top = std::max(top, std::fabs(row[k]));
    if (top < 1e-30f) return;
    int8_t* out = reinterpret_cast<int8_t*>(to + 4 * panel);
    int32_t sum = 0;
    for (long k = 0; k < inputs; k++) {
      const int8_t value = static_cast<int8_t>(std::lrintf(row[k] * (127.0f / top)));
      sum += value;
      out[(k / 4 * panel + i) * 4 + k % 4] = value;
    }
    reinterpret_cast<int32_t*>(to)[i] = kernels_.unsigned8 ? -128 * sum : 0;
    reinterpret_cast<float*>(to + 4 * panel + panel * m.inputs)[i] = top / 127.0f;
  }
}

}  // namespace triptych

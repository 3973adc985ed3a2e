#include <algorithm>
#include <cstring>

#include "gpt.h"

namespace triptych {
namespace {

constexpr long kSmall = 64 * 1024;  // bytes of weights, or as much work, below which a second thread costs more than it brings
constexpr long kRowsTogether = 96;  // rows of a product that share a panel while it is in the cache

// Work of `count` equal parts whose whole is worth reading `bytes`: in parts for all threads, or in one piece.
template <typename F>
void spread(Pool& pool, long count, long bytes, F&& f) {
  const long grain = bytes < kSmall ? count : std::max(1L, count / (pool.threads() * 4L));
  pool.run(count, grain, f);
}

}  // namespace

Rows Runner::prepare(const Matrix& matrix, const float* x, const float* norm, long count) {
  const long n = matrix.inputs;
  Rows out;
  out.floats = x;
  out.stride = n;
  const bool bytes = matrix.precision == Precision::int8;
  if (norm == nullptr && !bytes) return out;
  float* normed = normed_.need(static_cast<size_t>(count * n));
  int8_t* made = bytes ? bytes_.need(static_cast<size_t>(count * n)) : nullptr;
  float* scales = bytes ? scales_.need(static_cast<size_t>(count)) : nullptr;
  spread(*pool_, count, count * n * 8, [&](int, long first, long last) {
    for (long r = first; r < last; r++) {
      if (norm != nullptr) kernels_.norm(x + r * n, norm, n, normed + r * n);
      if (bytes) kernels_.quantize(norm != nullptr ? normed + r * n : x + r * n, n, made + r * n, scales + r);
    }
  });
  if (norm != nullptr) out.floats = normed;
  out.bytes = made, out.scale = scales;
  return out;
}

void Runner::product(const Matrix& m, const Rows& rows, long count, float* y, long stride, const float* bias, Then then) {
  const long size = m.precision == Precision::int8 ? 1 : m.precision == Precision::bf16 ? 2 : 4;
  const long parts = (count + kRowsTogether - 1) / kRowsTogether;
  const long panel = kernels_.panel;
  const long bytes = m.panels * panel * m.inputs * size * ((count + 7) / 8);
  spread(*pool_, parts * m.panels, bytes, [&](int, long first, long last) {
    // Parts are (rows, panel) with the panel running fastest; a run of panels is one call.
    while (first < last) {
      const long part = first / m.panels, from = first % m.panels;
      const long to = std::min(m.panels, from + last - first);
      const long row = part * kRowsTogether;
      Rows some = rows;
      if (some.floats != nullptr) some.floats += row * rows.stride;
      if (some.bytes != nullptr) some.bytes += row * rows.stride, some.scale += row;
      kernels_.matmul(m, some, std::min(kRowsTogether, count - row), from, to, y + row * stride, stride, bias, then);
      first += to - from;
    }
  });
}

void Runner::linear(const Matrix& matrix, const float* x, const float* norm, long count, float* y, const float* bias,
                    Then then) {
  product(matrix, prepare(matrix, x, norm, count), count, y, then == Then::swiglu ? matrix.outputs / 2 : matrix.outputs,
          bias, then);
}

void Runner::blocks(const Stack& stack, Cache& cache, const std::vector<long>& rows, float* x, const float* cos,
                    const float* sin) {
  const long count = static_cast<long>(rows.size()), group = stack.heads / stack.kv_heads;
  // Where each position will stand in its row, and which neighbours share one read of the keys.
  index_.resize(rows.size());
  first_.clear();
  for (long m = 0; m < count; m++) {
    const size_t i = static_cast<size_t>(m);
    const bool goes_on = m > 0 && rows[i] == rows[i - 1];
    index_[i] = goes_on ? index_[i - 1] + 1 : cache.length(rows[i]);
    if (!goes_on || m - first_.back() >= std::max(1L, kQueries / group)) first_.push_back(m);
    cache.reserve(rows[i], index_[i] + 1);
  }
  first_.push_back(count);
  const long wide = (stack.heads + 2 * stack.kv_heads) * kHead;
  float* qkv = qkv_.need(static_cast<size_t>(count * wide));
  query_.need(static_cast<size_t>(count * stack.heads * kHead));
  float* attended = attended_.need(static_cast<size_t>(count * stack.heads * kHead));
  float* fed = fed_.need(static_cast<size_t>(count * stack.hidden));
  for (size_t layer = 0; layer < stack.blocks.size(); layer++) {
    const Block& block = stack.blocks[layer];
    linear(block.qkv, x, block.attention_norm, count, qkv);
    attention(stack, static_cast<long>(layer), cache, rows, cos, sin);
    linear(block.out, attended, nullptr, count, x, nullptr, Then::add);
    linear(block.up, x, block.feed_norm, count, fed, nullptr, Then::swiglu);
    linear(block.down, fed, nullptr, count, x, nullptr, Then::add);
  }
  for (long row : rows) cache.advance(row, 1);
}

void Runner::attention(const Stack& stack, long layer, Cache& cache, const std::vector<long>& rows, const float* cos,
                       const float* sin) {
  const Block& block = stack.blocks[static_cast<size_t>(layer)];
  const long heads = stack.heads, kv_heads = stack.kv_heads, group = heads / kv_heads, count = static_cast<long>(rows.size());
  const long wide = (heads + 2 * kv_heads) * kHead, half = kHead / 2;
  // Queries are normed, turned and scaled by 1/sqrt(E); keys and values go to their page.
  spread(*pool_, count, count * wide * 8, [&](int, long first, long last) {
    alignas(64) float key[kHead];
    for (long m = first; m < last; m++) {
      const float* in = qkv_.data() + m * wide;
      const float* c = cos != nullptr ? cos + m * half : nullptr;
      const float* s = sin != nullptr ? sin + m * half : nullptr;
      for (long h = 0; h < heads; h++)
        kernels_.head(in + h * kHead, block.query_norm, c, s, 0.125f, query_.data() + (m * heads + h) * kHead);
      const long position = index_[static_cast<size_t>(m)];
      float* page = cache.page(rows[static_cast<size_t>(m)], position);
      for (long h = 0; h < kv_heads; h++) {
        kernels_.head(in + (heads + h) * kHead, block.key_norm, c, s, 1.0f, key);
        kernels_.keep(key, in + (heads + kv_heads + h) * kHead, page + cache.offset(layer, h), position % kPage, cache.pairs());
      }
    }
  });
  const long groups = static_cast<long>(first_.size()) - 1;
  long positions = 0;
  for (long g = 0; g < groups; g++) positions += index_[static_cast<size_t>(first_[static_cast<size_t>(g) + 1] - 1)] + 1;
  spread(*pool_, groups * kv_heads, positions * kv_heads * kHead * 8, [&](int, long first, long last) {
    for (long part = first; part < last; part++) {
      const long g = part / kv_heads, h = part % kv_heads;
      const float* queries[kQueries];
      float* out[kQueries];
      long limits[kQueries];
      int filled = 0;
      const long from = first_[static_cast<size_t>(g)], to = first_[static_cast<size_t>(g) + 1];
      const long row = rows[static_cast<size_t>(from)];
      const auto attend = [&] {
        if (filled > 0)
          kernels_.attend(queries, filled, cache.pages(row), cache.offset(layer, h), limits, out, cache.pairs());
        filled = 0;
      };
      for (long m = from; m < to; m++)
        for (long j = 0; j < group; j++) {
          const long place = (m * heads + h * group + j) * kHead;
          queries[filled] = query_.data() + place;
          out[filled] = attended_.data() + place;
          limits[filled++] = index_[static_cast<size_t>(m)] + 1;
          if (filled == kQueries) attend();
        }
      attend();
    }
  });
}

}  // namespace triptych

#include <algorithm>
#include <cstring>

#include "gpt.h"

namespace triptych {
namespace {

constexpr long kSmall = 64 * 1024;  // bytes of weights, or as much work, below which a second thread costs more than it brings
constexpr long kGrain = 24 * 1024;  // as much, below which a part costs more to take than threads wait for the last one
constexpr long kRowsTogether = 96;  // rows of a product that share a panel while it is in the cache
constexpr long kFew = 16;           // rows, below which each thread prepares them for itself sooner than it gets them from another

// Work of `count` equal parts whose whole is worth reading `bytes`: in parts for all threads, or in one piece.
template <typename F>
void spread(Pool& pool, long count, long bytes, F&& f) {
  const long grain = bytes < kSmall ? count : std::max(1L, std::min(count / (pool.threads() * 4L), count * kGrain / bytes));
  pool.run(count, grain, f);
}

}  // namespace

Runner::Runner(const Kernels& kernels, std::shared_ptr<Pool> pool)
    : kernels_(kernels), pool_(std::move(pool)), own_(static_cast<size_t>(pool_->threads())), made_(own_.size()) {}

Runner::Input Runner::input(const Matrix& matrix, const float* x, const float* norm, long count) {
  const long n = matrix.inputs;
  Input in{&matrix, x, norm, count, ++turn_, {}};
  in.given.floats = x, in.given.stride = n;
  if (norm == nullptr && matrix.precision != Precision::int8) return in;
  if (count < kFew) {
    for (Prepared& own : own_) own.need(count, n);
  } else {
    shared_.need(count, n);
    spread(*pool_, count, count * n * 8, [&](int, long first, long last) { prepare(in, shared_, first, last); });
    in.given = shared_.rows(matrix);
  }
  return in;
}

Rows Runner::rows(const Input& in, int self) {
  const bool is = in.count >= kFew || (in.norm == nullptr && in.matrix->precision != Precision::int8);
  if (is) return in.given;
  Prepared& own = own_[static_cast<size_t>(self)];
  long& made = made_[static_cast<size_t>(self)].turn;
  if (made != in.turn) prepare(in, own, 0, in.count);
  made = in.turn;
  return own.rows(*in.matrix);
}

void Runner::prepare(const Input& in, const Prepared& to, long first, long last) const {
  const long n = in.matrix->inputs;
  for (long r = first; r < last; r++) {
    const float* from = in.x + r * n;
    float* normed = to.floats.data() + r * n;
    if (in.norm != nullptr) kernels_.norm(from, in.norm, n, normed), from = normed;
    if (in.matrix->precision == Precision::int8)
      kernels_.quantize(from, n, to.bytes.data() + r * n, to.scales.data() + r);
  }
}

Rows Runner::Prepared::rows(const Matrix& matrix) const {
  Rows out;
  out.floats = floats.data(), out.stride = matrix.inputs;
  if (matrix.precision == Precision::int8) out.bytes = bytes.data(), out.scale = scales.data();
  return out;
}

void Runner::Prepared::need(long count, long n) {
  floats.need(static_cast<size_t>(count * n)), bytes.need(static_cast<size_t>(count * n));
  scales.need(static_cast<size_t>(count));
}

void Runner::linear(const Matrix& m, const float* x, const float* norm, long count, float* y, const float* bias, Then then) {
  const Input in = input(m, x, norm, count);
  const long stride = then == Then::swiglu ? m.outputs / 2 : m.outputs;
  const long parts = (count + kRowsTogether - 1) / kRowsTogether;
  spread(*pool_, parts * m.panels, m.panels * m.stride * ((count + 7) / 8), [&](int self, long first, long last) {
    const Rows all = rows(in, self);
    // Parts are (rows, panel) with the panel running fastest; a run of panels is one call.
    while (first < last) {
      const long part = first / m.panels, from = first % m.panels;
      const long to = std::min(m.panels, from + last - first);
      const long row = part * kRowsTogether;
      Rows some = all;
      some.floats += row * some.stride;
      if (some.bytes != nullptr) some.bytes += row * some.stride, some.scale += row;
      kernels_.matmul(m, some, std::min(kRowsTogether, count - row), from, to, y + row * stride, stride, bias, then);
      first += to - from;
    }
  });
}

void Runner::blocks(const Stack& stack, Cache& cache, const std::vector<long>& rows, float* x, const float* cos,
                    const float* sin, const std::vector<long>* wanted) {
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
  qkv_.need(static_cast<size_t>(count * wide));
  query_.need(static_cast<size_t>(count * stack.heads * kHead));
  float* attended = attended_.need(static_cast<size_t>(count * stack.heads * kHead));
  float* fed = fed_.need(static_cast<size_t>(count * stack.hidden));
  for (size_t layer = 0; layer < stack.blocks.size(); layer++) {
    const Block& block = stack.blocks[layer];
    const bool some = wanted != nullptr && layer + 1 == stack.blocks.size() && wanted->size() < rows.size();
    attention({stack, block, static_cast<long>(layer), cache, rows, cos, sin}, x, some ? wanted : nullptr);
    const long here = some ? static_cast<long>(wanted->size()) : count;
    float* to = x;
    if (some) {
      to = few_.need(static_cast<size_t>(count * stack.width));
      const long wide = stack.heads * kHead;
      for (long i = 0; i < here; i++) {
        const long m = (*wanted)[static_cast<size_t>(i)];
        std::memcpy(to + i * stack.width, x + m * stack.width, sizeof(float) * static_cast<size_t>(stack.width));
        std::memmove(attended + i * wide, attended + m * wide, sizeof(float) * static_cast<size_t>(wide));
      }
    }
    linear(block.out, attended, nullptr, here, to, nullptr, Then::add);
    linear(block.up, to, block.feed_norm, here, fed, nullptr, Then::swiglu);
    linear(block.down, fed, nullptr, here, to, nullptr, Then::add);
    for (long i = 0; some && i < here; i++) {
      const long m = (*wanted)[static_cast<size_t>(i)];
      std::memcpy(x + m * stack.width, to + i * stack.width, sizeof(float) * static_cast<size_t>(stack.width));
    }
  }
  for (long row : rows) cache.advance(row, 1);
}

void Runner::attention(const Layer& l, const float* x, const std::vector<long>* wanted) {
  const long heads = l.stack.heads, kv_heads = l.stack.kv_heads, group = heads / kv_heads;
  const long count = static_cast<long>(l.rows.size()), groups = static_cast<long>(first_.size()) - 1;
  const long wide = (heads + 2 * kv_heads) * kHead, threads = pool_->threads();
  long positions = 0;
  for (long g = 0; g < groups; g++) positions += index_[static_cast<size_t>(first_[static_cast<size_t>(g) + 1] - 1)] + 1;
  const long work = positions * kv_heads * kHead * 8;
  const Matrix& qkv = l.block.qkv;
  if (groups == count && (kv_heads % threads == 0 || kv_heads >= 4 * threads)) {
    // One position a row: what belongs to one head of keys goes from the product to the sum in one thread, whose cache
    // holds that head's past.
    const Input in = input(qkv, x, l.block.attention_norm, count);
    const long each = kHead / kernels_.panel;
    spread(*pool_, kv_heads, qkv.panels * qkv.stride + work, [&](int self, long first, long last) {
      const Rows from = rows(in, self);
      const auto product = [&](long head, long many) {
        kernels_.matmul(qkv, from, count, head * each, (head + many) * each, qkv_.data(), wide, nullptr, Then::store);
      };
      for (long h = first; h < last; h++) {
        fetch(l, 0, h);
        product(h * group, group), product(heads + h, 1), product(heads + kv_heads + h, 1);
        for (long m = 0; m < count; m++) {
          if (m + 1 < count) fetch(l, m + 1, h);
          turn(l, m, h);
          attend(l, m, m + 1, h);
        }
      }
    });
    return;
  }
  linear(qkv, x, l.block.attention_norm, count, qkv_.data());
  spread(*pool_, count, count * wide * 8, [&](int, long first, long last) {
    for (long m = first; m < last; m++)
      for (long h = 0; h < kv_heads; h++) turn(l, m, h);
  });
  const long parts = wanted != nullptr ? static_cast<long>(wanted->size()) : groups;
  spread(*pool_, parts * kv_heads, work, [&](int, long first, long last) {
    for (long part = first; part < last; part++) {
      const size_t g = static_cast<size_t>(part / kv_heads);
      const long from = wanted != nullptr ? (*wanted)[g] : first_[g], to = wanted != nullptr ? from + 1 : first_[g + 1];
      attend(l, from, to, part % kv_heads);
    }
  });
}

void Runner::turn(const Layer& l, long m, long h) {
  const long heads = l.stack.heads, kv_heads = l.stack.kv_heads, group = heads / kv_heads, half = kHead / 2;
  const float* in = qkv_.data() + m * (heads + 2 * kv_heads) * kHead;
  const float* cos = l.cos != nullptr ? l.cos + m * half : nullptr;
  const float* sin = l.sin != nullptr ? l.sin + m * half : nullptr;
  for (long q = h * group; q < (h + 1) * group; q++)
    kernels_.head(in + q * kHead, l.block.query_norm, cos, sin, 0.125f, query_.data() + (m * heads + q) * kHead);
  alignas(64) float key[kHead];
  kernels_.head(in + (heads + h) * kHead, l.block.key_norm, cos, sin, 1.0f, key);
  const long position = index_[static_cast<size_t>(m)];
  float* page = l.cache.page(l.rows[static_cast<size_t>(m)], position) + l.cache.offset(l.layer, h);
  kernels_.keep(key, in + (heads + kv_heads + h) * kHead, page, position % kPage, l.cache.pairs());
}

void Runner::attend(const Layer& l, long from, long to, long h) {
  const long heads = l.stack.heads, group = heads / l.stack.kv_heads;
  const long row = l.rows[static_cast<size_t>(from)];
  const float* queries[kQueries];
  float* out[kQueries];
  long limits[kQueries];
  int filled = 0;
  const auto together = [&] {
    if (filled > 0)
      kernels_.attend(queries, filled, l.cache.pages(row), l.cache.offset(l.layer, h), limits, out, l.cache.pairs());
    filled = 0;
  };
  for (long m = from; m < to; m++)
    for (long j = 0; j < group; j++) {
      const long place = (m * heads + h * group + j) * kHead;
      queries[filled] = query_.data() + place;
      out[filled] = attended_.data() + place;
      limits[filled++] = index_[static_cast<size_t>(m)] + 1;
      if (filled == kQueries) together();
    }
  together();
}

void Runner::fetch(const Layer& l, long m, long h) const {
  constexpr long most = 64;  // pages; the rest comes while these are read
  const float* const* pages = l.cache.pages(l.rows[static_cast<size_t>(m)]);
  const long offset = l.cache.offset(l.layer, h), words = l.cache.offset(0, 1);
  const long count = std::min(most, index_[static_cast<size_t>(m)] / kPage + 1);
  for (long page = 0; page < count; page++)
    for (long word = 0; word < words; word += 16) {
      const float* line = pages[page] + offset + word;
      __builtin_prefetch(line, 0, 2);
      asm volatile("" : : "r"(line));  // or GCC sees a function without effect, and drops it
    }
}

}  // namespace triptych

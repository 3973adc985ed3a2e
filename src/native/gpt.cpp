#include "gpt.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace triptych {

GPT::GPT(const Config& c, const Tensors& tensors, const float* turning, Precision precision, const Kernels& k)
    : config(c), kernels(k), pairs(precision == Precision::int8), packer_(k, precision) {
  const float* words = tensors.get("text.weight", {c.vocabulary, c.width});
  embedding = packer_.copy(words, c.vocabulary * c.width);
  text = packer_.matrix(words, c.vocabulary, c.width);
  const long values = c.inputs;
  visual = packer_.exact(tensors.get("visual.weight", {c.width, values}), c.width, values);
  visual_bias = packer_.copy(tensors.get("visual.bias", {c.width}), c.width, visual.panels * k.panel);
  trunk = stack(tensors, "blocks.", c.depth, c.width, c.heads, c.kv_heads, c.hidden);
  norm = packer_.copy(tensors.get("norm.weight", {c.width}), c.width);
  rates = packer_.copy(turning, kHead / 2);
  state = packer_.matrix(tensors.get("head.state.weight", {c.head_width, c.width}), c.head_width, c.width);
  code = packer_.copy(tensors.get("head.code.weight", {c.codes, c.head_width}), c.codes * c.head_width);
  place = packer_.copy(tensors.get("head.place", {c.slots, c.head_width}), c.slots * c.head_width);
  const long heads = c.head_width / kHead;
  head = stack(tensors, "head.blocks.", c.head_layers, c.head_width, heads, heads, c.head_hidden);
  head_norm = packer_.copy(tensors.get("head.norm.weight", {c.head_width}), c.head_width);
  code_logits = packer_.matrix(tensors.get("head.out.weight", {c.codes, c.head_width}), c.codes, c.head_width);
  if (tensors.has("head.again.weight")) {
    again = packer_.copy(tensors.get("head.again.weight", {1, c.head_width}), c.head_width);
    again_bias = packer_.copy(tensors.get("head.again.bias", {1}), 1);
  }
}

Stack GPT::stack(const Tensors& tensors, const std::string& prefix, long layers, long width, long heads, long kv_heads,
                 long hidden) {
  Stack out{width, heads, kv_heads, hidden, {}};
  const long wide = (heads + 2 * kv_heads) * kHead;
  for (long layer = 0; layer < layers; layer++) {
    const auto get = [&](const char* name, const std::vector<long>& shape) {
      return tensors.get(prefix + std::to_string(layer) + "." + name, shape);
    };
    Block block;
    block.attention_norm = packer_.copy(get("attention_norm.weight", {width}), width);
    block.query_norm = packer_.copy(get("attention.query_norm.weight", {kHead}), kHead);
    block.key_norm = packer_.copy(get("attention.key_norm.weight", {kHead}), kHead);
    block.feed_norm = packer_.copy(get("feed_norm.weight", {width}), width);
    block.qkv = packer_.matrix(get("attention.qkv.weight", {wide, width}), wide, width);
    block.out = packer_.matrix(get("attention.out.weight", {width, heads * kHead}), width, heads * kHead);
    block.up = packer_.matrix(get("feed.up.weight", {2 * hidden, width}), 2 * hidden, width, true);
    block.down = packer_.matrix(get("feed.down.weight", {width, hidden}), width, hidden);
    out.blocks.push_back(block);
  }
  return out;
}

void Cache::reserve(long row, long length) {
  // Pages at a multiple of 128 KB would share their places in the caches: the next one stands a little further on.
  constexpr size_t apart = 65 * 64;
  Row& r = at(row);
  while (static_cast<long>(r.kept.size()) * kPage < length) {
    r.kept.push_back(reinterpret_cast<float*>(arena_.take(sizeof(float) * static_cast<size_t>(size()) + apart)));
    r.pages.push_back(r.kept.back());
  }
}

void Cache::clear(long rows) {
  if (static_cast<size_t>(rows) > rows_.size()) rows_.resize(static_cast<size_t>(rows));
  for (Row& row : rows_) row.length = 0;
}

size_t Cache::bytes() const {
  size_t pages = 0;
  for (const Row& row : rows_) pages += row.kept.size();
  return pages * static_cast<size_t>(size()) * sizeof(float);
}

Session::Session(std::shared_ptr<const GPT> gpt, std::shared_ptr<Pool> pool, std::vector<Sampling> sampling, bool twins)
    : gpt_(std::move(gpt)),
      runner_(gpt_->kernels, std::move(pool)),
      sampling_(std::move(sampling)),
      rows_(static_cast<long>(sampling_.size()) * (twins ? 2 : 1)),
      cache_(gpt_->config.depth, gpt_->config.kv_heads, rows_, gpt_->pairs),
      head_cache_(gpt_->config.head_layers, gpt_->head.kv_heads, rows_, gpt_->pairs),
      sampler_(gpt_->kernels) {
  for (const Sampling& s : sampling_) check_sampling(s);
  state_.need(static_cast<size_t>(rows_ * gpt_->config.width));
}

void Session::read(const int64_t* ids, const float* values, const int64_t* positions, const int64_t* lengths, long count,
                   float* states) {
  // Long prompts go through in parts, so that the buffers stay small.
  constexpr long part = 512;
  const GPT& gpt = *gpt_;
  const long width = gpt.config.width, wide = gpt.config.inputs, half = kHead / 2;
  std::vector<long> at, rows;  // place in (R, S), and row, of each position
  for (long row = 0; row < rows_; row++)
    for (long i = 0; i < lengths[row]; i++) at.push_back(row * count + i);
  for (size_t first = 0; first < at.size(); first += part) {
    const long m = static_cast<long>(std::min(at.size() - first, static_cast<size_t>(part)));
    float* x = x_.need(static_cast<size_t>(m * width));
    float* cos = cos_.need(static_cast<size_t>(m * half));
    float* sin = sin_.need(static_cast<size_t>(m * half));
    float* seen = values_.need(static_cast<size_t>(m * gpt.visual.inputs));
    float* looked = looked_.need(static_cast<size_t>(m * width));
    rows.clear();
    long pictures = 0;
    for (long i = 0; i < m; i++) {
      const long place = at[first + static_cast<size_t>(i)];
      rows.push_back(place / count);
      if (ids[place] < 0) std::memcpy(seen + pictures++ * gpt.visual.inputs, values + place * wide, sizeof(float) * wide);
    }
    if (pictures > 0) runner_.linear(gpt.visual, seen, nullptr, pictures, looked, gpt.visual_bias);
    pictures = 0;
    for (long i = 0; i < m; i++) {
      const long place = at[first + static_cast<size_t>(i)];
      const float* from = ids[place] < 0 ? looked + pictures++ * width : gpt.embedding + ids[place] * width;
      std::memcpy(x + i * width, from, sizeof(float) * width);
      for (long pair = 0; pair < half; pair++) {
        const long axis = pair < 12 ? 0 : pair < 22 ? 1 : 2;
        const float angle = static_cast<float>(positions[place * 3 + axis]) * gpt.rates[pair];
        cos[i * half + pair] = std::cos(angle);
        sin[i * half + pair] = std::sin(angle);
      }
    }
    std::vector<long> ends;
    for (long i = 0; i < m; i++)
      if (at[first + static_cast<size_t>(i)] % count == lengths[rows[static_cast<size_t>(i)]] - 1) ends.push_back(i);
    runner_.blocks(gpt.trunk, cache_, rows, x, cos, sin, states == nullptr ? &ends : nullptr);
    for (long i = 0; i < m; i++) {
      const long place = at[first + static_cast<size_t>(i)], row = rows[static_cast<size_t>(i)];
      const bool last = place - row * count == lengths[row] - 1;
      if (states != nullptr) gpt.kernels.norm(x + i * width, gpt.norm, width, states + place * width);
      if (last) gpt.kernels.norm(x + i * width, gpt.norm, width, state_.data() + row * width);
    }
  }
}

void Session::forget(const int64_t* counts) {
  for (long row = 0; row < rows_; row++)
    if (counts[row] < 0 || counts[row] > cache_.length(row))
      throw std::invalid_argument("counts holds " + std::to_string(counts[row]) + "; row " + std::to_string(row) + " holds " +
                                  std::to_string(cache_.length(row)) + " positions");
  for (long row = 0; row < rows_; row++) cache_.advance(row, -static_cast<long>(counts[row]));
}

void Session::text_logits(const float* states, long count, float* logits) {
  runner_.linear(gpt_->text, states, nullptr, count, logits);
}

void Session::slot(const float* states, const int64_t* before, const int64_t* there, long step, long count, Cache& cache,
                   float* logits, long stride) {
  const GPT& gpt = *gpt_;
  const long width = gpt.config.head_width;
  float* x = head_x_.need(static_cast<size_t>(count * width));
  std::vector<long> rows(static_cast<size_t>(count));
  if (step == 0) runner_.linear(gpt.state, states, nullptr, count, x);
  for (long r = 0; r < count; r++) {
    rows[static_cast<size_t>(r)] = r;
    const float* code = step == 0 ? x + r * width : gpt.code + before[r] * width;
    for (long i = 0; i < width; i++) x[r * width + i] = code[i] + gpt.place[step * width + i];
  }
  runner_.blocks(gpt.head, cache, rows, x, nullptr, nullptr);
  float* out = logits_.need(static_cast<size_t>(count * gpt.config.codes));
  runner_.linear(gpt.code_logits, x, gpt.head_norm, count, out);
  float* normed = normed_.need(static_cast<size_t>(width));
  for (long r = 0; r < count; r++) {
    float* row = logits + r * stride;
    std::memcpy(row, out + r * gpt.config.codes, sizeof(float) * gpt.config.codes);
    const int64_t same = there[r * gpt.config.slots + step] - 1;
    if (same < 0 || gpt.again == nullptr) continue;
    gpt.kernels.norm(x + r * width, gpt.head_norm, width, normed);
    float more = *gpt.again_bias;
    for (long i = 0; i < width; i++) more += gpt.again[i] * normed[i];
    row[same] += more;
  }
}

void Session::code_logits(const float* states, const int64_t* codes, const int64_t* there, long count, long known,
                          float* logits) {
  const long choices = gpt_->config.codes;
  Cache cache(gpt_->config.head_layers, gpt_->head.kv_heads, count, gpt_->pairs);
  std::vector<int64_t> before(static_cast<size_t>(count));
  for (long step = 0; step <= known; step++) {
    for (long r = 0; r < count && step > 0; r++) before[static_cast<size_t>(r)] = codes[r * known + step - 1];
    slot(states, before.data(), there, step, count, cache, logits + step * choices, (known + 1) * choices);
  }
}

void Session::choose_text(const float* states, const float* uniform, const uint8_t* legal, int64_t* ids) {
  const long choices = gpt_->config.vocabulary;
  float* logits = logits_.need(static_cast<size_t>(drawn() * choices));
  text_logits(states, drawn(), logits);
  for (long b = 0; b < drawn(); b++)
    ids[b] = sampler_.choose(logits + b * choices, choices, sampling_[static_cast<size_t>(b)], uniform[b], legal);
}

void Session::choose_codes(const float* states, const int64_t* there, long width, const float* uniform, const float* guidance,
                           const int64_t* known, int64_t* codes, float* nats) {
  constexpr long part = 64;  // positions at a time, so that the buffers stay small
  const long choices = gpt_->config.codes, slots = gpt_->config.slots, wide = gpt_->config.width;
  const long all = drawn() * width;
  const bool twins = rows_ != drawn();
  std::vector<int64_t> before, same;
  for (long first = 0; first < all; first += part) {
    const long count = std::min(part, all - first), rows = twins ? 2 * count : count;
    float* picked = picked_.need(static_cast<size_t>(rows * wide));
    std::memcpy(picked, states + first * wide, sizeof(float) * static_cast<size_t>(count * wide));
    if (twins)
      std::memcpy(picked + count * wide, states + (all + first) * wide, sizeof(float) * static_cast<size_t>(count * wide));
    float* logits = guided_.need(static_cast<size_t>((rows + 1) * choices));
    float* guided = logits + rows * choices;
    before.resize(static_cast<size_t>(rows));
    same.resize(static_cast<size_t>(rows * slots));
    std::copy_n(there + first * slots, count * slots, same.data());
    if (twins) std::copy_n(there + (all + first) * slots, count * slots, same.data() + count * slots);
    head_cache_.clear(rows);
    for (long step = 0; step < slots; step++) {
      slot(picked, before.data(), same.data(), step, rows, head_cache_, logits, choices);
      for (long i = 0; i < count; i++) {
        const float* row = logits + i * choices;
        if (twins) {
          sampler_.guide(row, logits + (count + i) * choices, choices, guidance[first + i], guided);
          row = guided;
        }
        const long at = (first + i) * slots + step;
        const Sampling& sampling = sampling_[static_cast<size_t>((first + i) / width)];
        codes[at] = sampler_.choose(row, choices, sampling, uniform[at], nullptr, known[at], nats + at);
        before[static_cast<size_t>(i)] = codes[at];
        if (twins) before[static_cast<size_t>(count + i)] = codes[at];
      }
    }
  }
}

}  // namespace triptych

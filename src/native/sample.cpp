#include "sample.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

namespace triptych {

void check_sampling(const Sampling& s) {
  if (!(s.temperature >= 0) || !std::isfinite(s.temperature) || s.top_k < 0 || !(s.top_p > 0 && s.top_p <= 1))
    throw std::invalid_argument("temperature=" + std::to_string(s.temperature) + " top_k=" + std::to_string(s.top_k) +
                                " top_p=" + std::to_string(s.top_p) + " is out of range");
}

int64_t Sampler::choose(const float* logits, long choices, const Sampling& sampling, float uniform, const uint8_t* legal,
                        int64_t known, float* nats) {
  const bool draws = known < 0 && sampling.temperature > 0;
  const long likeliest = best(logits, choices, legal);
  if (known < 0) known = likeliest;
  if (!draws && nats == nullptr) return known;
  float* scaled = scaled_.need(static_cast<size_t>(choices));
  const float infinity = HUGE_VALF, by = sampling.temperature > 0 ? sampling.temperature : 1.0f;
  for (long i = 0; i < choices; i++) scaled[i] = legal == nullptr || legal[i] != 0 ? logits[i] / by : -infinity;
  float* probability = probability_.need(static_cast<size_t>(choices));
  float sum = 0;
  const float top = kernels_.exponentials(scaled, choices, probability, &sum);
  if (!std::isfinite(sum)) throw std::domain_error("the logits are not finite: the weights are damaged");
  if (draws) {
    for (long i = 0; i < choices; i++) probability[i] /= sum;
    if (sampling.top_k > 0 || sampling.top_p < 1) cut(probability, choices, sampling);
    known = draw(probability, choices, uniform, likeliest);
  }
  if (nats != nullptr) *nats = scaled[known] - top - std::log(sum);
  return known;
}

long Sampler::best(const float* logits, long choices, const uint8_t* legal) {
  // Blocks by comparisons that the compiler turns into vectors; then the place in the first block that holds the largest.
  constexpr long block = 64;
  const auto open = [&](long i) { return legal == nullptr || legal[i] != 0; };
  long where = -1;
  float top = 0;
  for (long first = 0; first < choices; first += block) {
    const long end = std::min(first + block, choices);
    int wrong = 0, better = 0, any = 0;
    for (long i = first; i < end; i++) {
      const int is = open(i);
      any |= is;
      wrong |= is & (logits[i] != logits[i]);
      better |= is & (logits[i] > top);
    }
    if (wrong) throw std::domain_error("a logit is not a number: the weights are damaged");
    if (!any || (where >= 0 && !better)) continue;
    for (long i = first; i < end; i++)
      if (open(i) && (where < 0 || logits[i] > top)) where = i, top = logits[i];
  }
  if (where < 0) throw std::domain_error("no choice is legal");
  return where;
}

int64_t Sampler::draw(float* probability, long choices, float uniform, int64_t likeliest) const {
  // The sums run in double precision and are compared in single, as torch does. First the block, then the place in it.
  constexpr long block = 32;
  const auto part = [&](long first) {
    double out = 0;
    for (long i = first; i < std::min(first + block, choices); i++) out += probability[i];
    return out;
  };
  double whole = 0;
  for (long first = 0; first < choices; first += block) whole += part(first);
  const float target = uniform * static_cast<float>(whole);
  double before = 0;
  long first = 0;
  for (; first + block < choices; first += block) {
    const double next = before + part(first);
    if (static_cast<float>(next) > target) break;
    before = next;
  }
  long last = -1;
  for (long i = first; i < choices; i++) {
    before += probability[i];
    if (probability[i] > 0) last = i;
    if (static_cast<float>(before) > target) return i;
  }
  // Rounding may point one past the last choice that has any probability.
  while (last < 0 && first-- > 0)
    if (probability[first] > 0) last = first;
  return last >= 0 ? last : likeliest;
}

void Sampler::cut(float* probability, long choices, const Sampling& sampling) {
  // Ranked by one number: the probability's bits, which order as it does, above the id turned round, so that the first of equals
  // comes first.
  order_.resize(static_cast<size_t>(choices));
  for (long i = 0; i < choices; i++) {
    uint32_t bits;
    std::memcpy(&bits, probability + i, 4);
    order_[static_cast<size_t>(i)] = (static_cast<uint64_t>(bits) << 32) | (0xffffffffu - static_cast<uint32_t>(i));
  }
  const long keep = sampling.top_k > 0 ? std::min(sampling.top_k, choices) : choices;
  const auto id = [&](long rank) {
    return static_cast<long>(0xffffffffu - static_cast<uint32_t>(order_[static_cast<size_t>(rank)]));
  };
  if (keep < choices) std::nth_element(order_.begin(), order_.begin() + keep, order_.end(), std::greater<>());
  for (long rank = keep; rank < choices; rank++) probability[id(rank)] = 0;
  if (sampling.top_p >= 1) return;
  // Mostly a few of the likeliest reach top_p: they are sorted in parts, each twice as long as the one before.
  double sum = 0;
  bool reached = false;  // by what stands before this rank; the likeliest always stays
  for (long first = 0, part = 32; first < keep; first += part, part *= 2) {
    const long end = std::min(first + part, keep);
    if (!reached) {
      if (end < keep) std::nth_element(order_.begin() + first, order_.begin() + end, order_.begin() + keep, std::greater<>());
      std::sort(order_.begin() + first, order_.begin() + end, std::greater<>());
    }
    for (long rank = first; rank < end; rank++) {
      const float here = probability[id(rank)];
      sum += here;
      reached = reached || (rank > 0 && static_cast<float>(sum) - here >= sampling.top_p);
      if (reached) probability[id(rank)] = 0;
    }
  }
}

void Sampler::guide(const float* with, const float* without, long choices, float scale, float* out) {
  float* scratch = probability_.need(static_cast<size_t>(choices));
  float sum_with = 0, sum_without = 0;
  const float top_with = kernels_.exponentials(with, choices, scratch, &sum_with);
  const float top_without = kernels_.exponentials(without, choices, scratch, &sum_without);
  const float log_with = std::log(sum_with), log_without = std::log(sum_without);
  for (long i = 0; i < choices; i++) {
    const float low = without[i] - top_without - log_without;
    out[i] = low + scale * (with[i] - top_with - log_with - low);
  }
}

}  // namespace triptych

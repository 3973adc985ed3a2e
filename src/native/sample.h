// Logits -> ids, as triptych/generate/sample.py draws them.
#pragma once
#include <cstdint>
#include <vector>

#include "level.h"
#include "memory.h"

namespace triptych {

struct Sampling {
  float temperature;
  long top_k;
  float top_p;
};

// std::invalid_argument for values that Sampling (sample.py) would refuse.
void check_sampling(const Sampling& sampling);

class Sampler {
 public:
  explicit Sampler(const Kernels& kernels) : kernels_(kernels) {}

  // Draw one of K choices by inverting the cumulative distribution at `uniform` in [0, 1). `legal` (K) or null.
  // `known` is taken instead where it isn't negative. `nats`, or null, gets the log-probability of the choice at the
  // temperature (1 where that is 0), before any tail is cut.
  // std::domain_error where the logits are not numbers, or nothing is legal.
  int64_t choose(const float* logits, long choices, const Sampling& sampling, float uniform, const uint8_t* legal,
                 int64_t known = -1, float* nats = nullptr);

  // without + scale * (with - without), of the logarithms of both distributions (arXiv 2207.12598).
  void guide(const float* with, const float* without, long choices, float scale, float* out);

 private:
  static long best(const float* logits, long choices, const uint8_t* legal);  // the first of the largest
  int64_t draw(float* probability, long choices, float uniform, int64_t likeliest) const;
  void cut(float* probability, long choices, const Sampling& sampling);

  const Kernels& kernels_;
  Buffer<float> scaled_, probability_;
  std::vector<uint64_t> order_;
};

}  // namespace triptych

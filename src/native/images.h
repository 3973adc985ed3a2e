// Convolutions over pictures and clips: what the visual tokenizer (triptych/tokenizers/visual.py) is made of, as a list
// of operations. Channels stand last in memory, so that a convolution is a product of gathered rows and packed weights.
//
// B batch, F frames, Y rows, X columns, C channels.
#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "level.h"
#include "memory.h"
#include "pool.h"
#include "weights.h"

namespace triptych {

struct Size {
  long batch, frames, rows, columns, channels;
  long pixels() const { return batch * frames * rows * columns; }
  size_t count() const { return static_cast<size_t>(pixels() * channels); }
};

class Network {
 public:
  Network(const Kernels& kernels, std::shared_ptr<Pool> pool, long channels)
      : kernels_(kernels), pool_(std::move(pool)), packer_(kernels, Precision::fp32), channels_(channels) {}
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // One convolution: weights (outputs, taps * inputs) float32 with the taps in the order of `gather`, bias (outputs).
  struct Weights {
    const float *weight, *bias;
    long outputs, inputs;  // inputs count all taps
  };

  // The operations, in the order in which they are added. std::invalid_argument where channels don't fit.
  void convolve(const Weights& weights, long side, float leak);     // side 1 or 3; leak scales what is below zero before
  void residual(const Weights& wide, const Weights& narrow);        // x + 1x1(relu(3x3(leaky(x, 0.2))))
  void causal(const Weights& past);                                 // x + 1x1 of each frame and the two before it
  void merge(const Weights& weights, long span);                    // 1 + span*k frames -> 1 + k, each of `span` frames
  void split(long span);                                            // channels (span, C) -> frames, the first span - 1 left out
  void shuffle(long by);                                            // channels (by, by, C) -> by times the rows and columns
  void unshuffle(long by);                                          // the reverse

  // (B, F, Y, X, C) -> the result, whose size is told. Any number of threads may call; they take turns.
  Size size_after(Size size) const;
  void run(const float* in, Size size, float* out);
  long channels_in() const { return inputs_ < 0 ? channels_ : inputs_; }

 private:
  enum class Kind { convolve, residual, causal, merge, split, shuffle, unshuffle };
  struct Layer {
    Matrix matrix;
    const float* bias = nullptr;
  };
  struct Operation {
    Kind kind;
    Layer one, two;
    long by = 1;
    float leak = 1.0f;
  };

  Layer layer(const Weights& weights, long taps);
  void add(Operation operation, long channels);
  static Size after(const Operation& operation, Size size);
  template <typename Gather>
  void product(const Layer& layer, long pixels, float* out, Then then, Gather gather);
  void square(const Layer& layer, const float* in, Size size, long side, float leak, float* out, Then then);
  void apply(const Operation& operation, const float* in, Size size, float* out);

  const Kernels& kernels_;
  std::shared_ptr<Pool> pool_;
  Packer packer_;
  long channels_, inputs_ = -1;
  std::vector<Operation> operations_;
  std::mutex busy_;
  Buffer<float> ping_, pong_, hidden_, leaky_, gathered_;
};

}  // namespace triptych

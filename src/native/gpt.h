// The GPT of triptych/model/gpt.py: its packed weights, and a session that reads rows and predicts what follows.
//
// R rows, B of them drawn (their unconditional twins, where there are any, stand behind them), M new positions of all
// rows one after another, D width, V text ids, C visual codes, G codes a position.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "level.h"
#include "memory.h"
#include "pool.h"
#include "sample.h"
#include "weights.h"

namespace triptych {

struct Config {
  long depth, width, heads, kv_heads, hidden, vocabulary, codes, inputs, slots, head_layers, head_width, head_hidden;
};

struct Block {
  const float *attention_norm, *query_norm, *key_norm, *feed_norm;
  Matrix qkv, out, up, down;
};

// Blocks of one width.
struct Stack {
  long width, heads, kv_heads, hidden;
  std::vector<Block> blocks;
};

class GPT {
 public:
  // `rates`: the 32 rotary rates of time, row and column, 12 + 10 + 10.
  GPT(const Config& config, const Tensors& tensors, const float* rates, Precision precision, const Kernels& kernels);
  GPT(const GPT&) = delete;
  GPT& operator=(const GPT&) = delete;

  const Config config;
  const Kernels& kernels;
  const bool pairs;  // whether keys and values are kept as bfloat16: with int8, whose rounding is the larger
  Stack trunk, head;
  Matrix text, visual, state, code_logits;
  const float *embedding, *visual_bias, *norm, *rates, *code, *place, *head_norm;
  const float *again = nullptr, *again_bias = nullptr;  // of how much likelier a code comes again; null where none was learned
  size_t bytes() const { return packer_.bytes(); }

 private:
  Packer packer_;
  Stack stack(const Tensors& tensors, const std::string& prefix, long layers, long width, long heads, long kv_heads,
              long hidden);
};

// Keys and values, in pages of kPage positions that are added as rows grow.
class Cache {
 public:
  // As `pairs` keys and values are rounded to bfloat16, and take half the memory.
  Cache(long layers, long heads, long rows, bool pairs)
      : layers_(layers), heads_(heads), half_(pairs ? kHalfPage / 2 : kHalfPage), rows_(static_cast<size_t>(rows)) {}

  long length(long row) const { return at(row).length; }
  void reserve(long row, long length);  // room for so many positions
  void advance(long row, long count) { at(row).length += count; }  // fewer than none takes positions back
  void clear(long rows);                                           // so many rows that hold nothing; the room is kept
  const float* const* pages(long row) const { return at(row).pages.data(); }
  bool pairs() const { return half_ < kHalfPage; }
  long offset(long layer, long head) const { return (layer * heads_ + head) * 2 * half_; }
  float* page(long row, long position) { return at(row).kept[static_cast<size_t>(position / kPage)]; }
  size_t bytes() const;

 private:
  struct Row {
    long length = 0;
    std::vector<float*> kept;
    std::vector<const float*> pages;
  };
  const Row& at(long row) const { return rows_[static_cast<size_t>(row)]; }
  Row& at(long row) { return rows_[static_cast<size_t>(row)]; }

  long size() const { return layers_ * heads_ * 2 * half_; }  // words of a page

  long layers_, heads_, half_;
  std::vector<Row> rows_;
  Arena arena_;
};

// Runs stacks: buffers for the steps between one matrix and the next.
class Runner {
 public:
  Runner(const Kernels& kernels, std::shared_ptr<Pool> pool);

  // x (M, width) through all blocks, in place. Position m belongs to row rows[m], and stands behind what the cache holds
  // of that row and behind the row's earlier positions in this call; the cache is advanced. `cos`, `sin` (M, 32) or null.
  // `wanted`: the positions, in order, whose result counts, or null for all; the last block does nothing else for others
  // than to keep their keys and values.
  void blocks(const Stack& stack, Cache& cache, const std::vector<long>& rows, float* x, const float* cos,
              const float* sin, const std::vector<long>* wanted = nullptr);
  // y (M, N) from x (M, K) times a matrix, after a norm where there is one.
  void linear(const Matrix& matrix, const float* x, const float* norm, long count, float* y, const float* bias = nullptr,
              Then then = Then::store);

 private:
  // Rows normed and quantised as a matrix wants them.
  struct Prepared {
    Buffer<float> floats, scales;
    Buffer<int8_t> bytes;
    void need(long count, long n);
    Rows rows(const Matrix& matrix) const;
  };
  struct alignas(64) Made {
    long turn = 0;
  };
  struct Input {
    const Matrix* matrix;
    const float *x, *norm;
    long count, turn;
    Rows given;  // what all threads share
  };
  struct Layer {
    const Stack& stack;
    const Block& block;
    long layer;
    Cache& cache;
    const std::vector<long>& rows;
    const float *cos, *sin;
  };

  Input input(const Matrix& matrix, const float* x, const float* norm, long count);
  Rows rows(const Input& input, int self);  // as thread `self` has them
  void prepare(const Input& input, const Prepared& to, long first, long last) const;
  void attention(const Layer& layer, const float* x, const std::vector<long>* wanted);
  // Queries of position m for the head h of keys, normed, turned and scaled by 1/sqrt(E); its key and value go to their page.
  void turn(const Layer& layer, long m, long h);
  void attend(const Layer& layer, long from, long to, long h);  // positions of one row over the head h of keys
  void fetch(const Layer& layer, long m, long h) const;         // brings what `attend` will read near

  const Kernels& kernels_;
  std::shared_ptr<Pool> pool_;
  Buffer<float> qkv_, query_, attended_, fed_, few_;
  Prepared shared_;
  std::vector<Prepared> own_;  // of each thread,
  std::vector<Made> made_;     // and of which turn that is
  long turn_ = 0;
  std::vector<long> index_, first_;  // position in its row of each new position; the first of each group of queries
};

class Session {
 public:
  Session(std::shared_ptr<const GPT> gpt, std::shared_ptr<Pool> pool, std::vector<Sampling> sampling, bool twins);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  long rows() const { return rows_; }
  long drawn() const { return static_cast<long>(sampling_.size()); }
  const GPT& gpt() const { return *gpt_; }

  // Read S new positions of each row, of which lengths[r] count (the rest is padding): ids (R, S), -1 where `values`
  // (R, S, G*d) stand instead, positions (R, S, 3). `states` (R, S, D) gets the state of each position, or is null.
  void read(const int64_t* ids, const float* values, const int64_t* positions, const int64_t* lengths, long count,
            float* states);
  // The state of the last position of each row, (R, D), as it was read last.
  const float* states() const { return state_.data(); }
  // Take back the last counts[r] positions of each row: guesses that didn't come true. What is read next is written over them.
  void forget(const int64_t* counts);
  // One text id after each state of the drawn rows (B, D). `uniform` (B) in [0, 1); `legal` (V).
  void choose_text(const float* states, const float* uniform, const uint8_t* legal, int64_t* ids);
  // G codes after each of W states of each row (R, W, D), and their log-probabilities at the rows' temperatures. `there`
  // (R, W, G) codes, plus one, of the same place in the map before, zero for none; `uniform`
  // (B, W, G); `guidance` (B, W), read where there are twins; `known` (B, W, G) codes that are given, -1 where they are drawn.
  void choose_codes(const float* states, const int64_t* there, long width, const float* uniform, const float* guidance, const int64_t* known,
                    int64_t* codes, float* nats);
  // Logits of any states: (M, D) -> (M, V), and with the first k codes of a position (M, k) -> (M, k + 1, C);
  // `there` (M, G) as above.
  void text_logits(const float* states, long count, float* logits);
  void code_logits(const float* states, const int64_t* codes, const int64_t* there, long count, long known, float* logits);
  size_t cache_bytes() const { return cache_.bytes(); }

  std::mutex mutex;  // held by whoever calls any of these

 private:
  void slot(const float* states, const int64_t* before, const int64_t* there, long step, long count, Cache& cache,
            float* logits, long stride);

  std::shared_ptr<const GPT> gpt_;
  Runner runner_;
  std::vector<Sampling> sampling_;
  long rows_;
  Cache cache_, head_cache_;
  Sampler sampler_;
  Buffer<float> state_, x_, values_, looked_, cos_, sin_, head_x_, logits_, guided_, picked_, normed_;
};

}  // namespace triptych

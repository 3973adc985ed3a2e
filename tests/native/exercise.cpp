// Runs every level, precision and thread count on random weights, without Python: what the sanitizers watch.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <thread>

#include "gpt.h"
#include "images.h"
#include "levels.h"
#include "reading.h"

using namespace triptych;

namespace {

std::mt19937 engine(0);

struct Random {  // named random tensors that outlive the packing
  Tensors tensors;
  std::deque<std::vector<float>> kept;
  const float* make(long count, float scale) {
    std::normal_distribution<float> normal(0, scale);
    kept.emplace_back(static_cast<size_t>(count));
    for (float& v : kept.back()) v = normal(engine);
    return kept.back().data();
  }
  void add(const std::string& name, std::vector<long> shape) {
    long count = 1;
    for (long side : shape) count *= side;
    tensors.add(name, {make(count, 1.0f / std::sqrt(static_cast<float>(shape.back()))), shape});
  }
};

Config small() { return {2, 128, 2, 1, 192, 61, 45, 3, 4, 2, 64, 192}; }

std::shared_ptr<GPT> make(const Config& c, Precision precision, const Kernels& kernels) {
  Random r;
  r.add("text.weight", {c.vocabulary, c.width});
  r.add("head.again.weight", {1, c.head_width});
  r.add("head.again.bias", {1});
  r.add("visual.weight", {c.width, c.inputs});
  r.add("visual.bias", {c.width});
  r.add("norm.weight", {c.width});
  r.add("head.state.weight", {c.head_width, c.width});
  r.add("head.code.weight", {c.codes, c.head_width});
  r.add("head.place", {c.slots, c.head_width});
  r.add("head.norm.weight", {c.head_width});
  r.add("head.out.weight", {c.codes, c.head_width});
  const auto blocks = [&](const std::string& prefix, long layers, long width, long heads, long kv, long hidden) {
    for (long layer = 0; layer < layers; layer++) {
      const std::string at = prefix + std::to_string(layer) + ".";
      r.add(at + "attention_norm.weight", {width});
      r.add(at + "attention.query_norm.weight", {kHead});
      r.add(at + "attention.key_norm.weight", {kHead});
      r.add(at + "feed_norm.weight", {width});
      r.add(at + "attention.qkv.weight", {(heads + 2 * kv) * kHead, width});
      r.add(at + "attention.out.weight", {width, heads * kHead});
      r.add(at + "feed.up.weight", {2 * hidden, width});
      r.add(at + "feed.down.weight", {width, hidden});
    }
  };
  blocks("blocks.", c.depth, c.width, c.heads, c.kv_heads, c.hidden);
  blocks("head.blocks.", c.head_layers, c.head_width, c.head_width / kHead, c.head_width / kHead, c.head_hidden);
  return std::make_shared<GPT>(c, r.tensors, r.make(kHead / 2, 1.0f), precision, kernels);
}

constexpr long kWidth = 70;  // positions whose codes are chosen at once: more than one part

// Two rows of a prompt of `length`, then codes and text; gives the ids that were chosen.
std::vector<int64_t> generate(const std::shared_ptr<GPT>& gpt, const std::shared_ptr<Pool>& pool, long rows, long length) {
  const Config& c = gpt->config;
  Session session(gpt, pool, std::vector<Sampling>(static_cast<size_t>(rows), Sampling{1.0f, 9, 0.9f}), true);
  const long all = session.rows(), wide = c.inputs;
  std::vector<int64_t> ids(static_cast<size_t>(all * length)), positions(static_cast<size_t>(all * length * 3)),
      lengths(static_cast<size_t>(all)), out, codes(static_cast<size_t>(rows * kWidth * c.slots));
  std::vector<float> values(static_cast<size_t>(all * length * wide), 0.25f), uniform(codes.size(), 0.4f), guidance(codes.size(), 3.0f);
  std::vector<float> states, nats(codes.size());
  std::vector<int64_t> there(static_cast<size_t>(all * kWidth * c.slots));
  for (size_t i = 0; i < there.size(); i++) there[i] = static_cast<int64_t>(i) % (c.codes + 1);
  std::vector<int64_t> known(codes.size(), -1), counts(static_cast<size_t>(all), 1);
  const auto last = [&](long width) {  // the last state of each row, so many times
    states.clear();
    for (long r = 0; r < all; r++)
      for (long w = 0; w < width; w++)
        states.insert(states.end(), session.states() + r * c.width, session.states() + (r + 1) * c.width);
    return states.data();
  };
  for (size_t i = 0; i < ids.size(); i++) ids[i] = i % 3 == 0 ? -1 : static_cast<int64_t>(i) % c.vocabulary;
  for (size_t i = 0; i < positions.size(); i++) positions[i] = static_cast<int64_t>(i / 3) % length;
  for (size_t i = 0; i < lengths.size(); i++) lengths[i] = length - static_cast<long>(i) % 2;
  session.read(ids.data(), values.data(), positions.data(), lengths.data(), length, nullptr);
  std::vector<uint8_t> legal(static_cast<size_t>(c.vocabulary), 1);
  std::fill(lengths.begin(), lengths.end(), 1);
  for (int step = 0; step < 6; step++) {
    const long width = step == 0 ? kWidth : 2;
    known[0] = step % 2 == 0 ? -1 : 7;
    session.choose_codes(last(width), there.data(), width, uniform.data(), guidance.data(), known.data(), codes.data(), nats.data());
    out.insert(out.end(), codes.begin(), codes.end());
    session.choose_text(last(1), uniform.data(), legal.data(), codes.data());
    session.read(ids.data(), values.data(), positions.data(), lengths.data(), 1, nullptr);
    session.forget(counts.data());
    session.read(ids.data(), values.data(), positions.data(), lengths.data(), 1, nullptr);
  }
  return out;
}

void pictures(const Kernels& kernels, const std::shared_ptr<Pool>& pool) {
  Random r;
  Network network(kernels, pool, 3);
  const auto conv = [&](long outputs, long inputs) {
    return Network::Weights{r.make(outputs * inputs, 0.1f), r.make(outputs, 0.1f), outputs, inputs};
  };
  network.unshuffle(2);
  network.convolve(conv(12, 12), 1, 1.0f);
  network.residual(conv(12, 108), conv(12, 12));
  network.merge(conv(20, 48), 4);
  network.causal(conv(20, 60));
  network.split(4);
  network.convolve(conv(12, 45), 3, 0.2f);
  network.shuffle(2);
  const Size size{2, 9, 6, 10, 3}, after = network.size_after(size);
  std::vector<float> in(size.count(), 0.5f), out(after.count());
  network.run(in.data(), size, out.data());
}

void require(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "exercise: %s\n", what);
  std::exit(1);
}

}  // namespace

int main() {
  for (const Kernels* kernels : runnable_levels())
    for (Precision precision : {Precision::fp32, Precision::bf16, Precision::int8}) {
      const auto gpt = make(small(), precision, *kernels);
      std::vector<int64_t> first;
      for (int threads : {1, 2, 4}) {
        const auto pool = std::make_shared<Pool>(threads);
        for (long rows : {1, 3}) {
          const auto ids = generate(gpt, pool, rows, rows == 1 ? 40 : 530);
          if (rows == 1 && first.empty()) first = ids;
          require(rows != 1 || ids == first, "threads change what is drawn");
        }
        // Callers that share one pool, and one that lets it fall asleep.
        std::vector<std::thread> callers;
        for (int i = 0; i < 3; i++)
          callers.emplace_back([&, i] {
            if (i == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
            require(generate(gpt, pool, 1, 40) == first, "callers disturb each other");
          });
        for (auto& caller : callers) caller.join();
        pictures(*kernels, pool);
        Reader reader(*kernels, pool, 300'001);
        require(reader.read() * 4 == static_cast<int64_t>(reader.bytes()), "not all was read");
      }
      std::printf("%s, precision %d: right\n", kernels->name, static_cast<int>(precision));
    }
}

#include "images.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

namespace triptych {
namespace {

constexpr long kPixels = 24;  // pixels whose gathered rows meet the weights together: four tiles of the widest level

}  // namespace

Network::Layer Network::layer(const Weights& w, long taps) {
  if (w.inputs != taps * channels_)
    throw std::invalid_argument("a convolution of " + std::to_string(w.inputs) + " inputs can't follow " +
                                std::to_string(channels_) + " channels");
  Layer out;
  out.matrix = packer_.exact(w.weight, w.outputs, w.inputs);
  out.bias = packer_.copy(w.bias, w.outputs, out.matrix.panels * kernels_.panel);
  return out;
}

void Network::add(Operation operation, long channels) {
  if (inputs_ < 0) inputs_ = channels_;
  operations_.push_back(operation);
  channels_ = channels;
}

void Network::convolve(const Weights& weights, long side, float leak) {
  if (side != 1 && side != 3) throw std::invalid_argument("a convolution is 1 or 3 wide");
  Operation op{Kind::convolve, layer(weights, side * side), {}, side, leak};
  add(op, weights.outputs);
}

void Network::residual(const Weights& wide, const Weights& narrow) {
  if (wide.outputs != channels_ || narrow.outputs != channels_)
    throw std::invalid_argument("a residual keeps its channels");
  Operation op{Kind::residual, layer(wide, 9), layer(narrow, 1), 1, 0.2f};
  add(op, channels_);
}

void Network::causal(const Weights& past) {
  if (past.outputs != channels_) throw std::invalid_argument("mixing frames keeps their channels");
  Operation op{Kind::causal, layer(past, 3), {}, 1, 1.0f};
  add(op, channels_);
}

void Network::merge(const Weights& weights, long span) {
  Operation op{Kind::merge, layer(weights, span), {}, span, 1.0f};
  add(op, weights.outputs);
}

void Network::split(long span) {
  if (span < 1 || channels_ % span != 0) throw std::invalid_argument("channels don't split into frames");
  add({Kind::split, {}, {}, span, 1.0f}, channels_ / span);
}

void Network::shuffle(long by) {
  if (by < 1 || channels_ % (by * by) != 0) throw std::invalid_argument("channels don't shuffle into pixels");
  add({Kind::shuffle, {}, {}, by, 1.0f}, channels_ / (by * by));
}

void Network::unshuffle(long by) {
  if (by < 1) throw std::invalid_argument("pixels don't unshuffle into channels");
  add({Kind::unshuffle, {}, {}, by, 1.0f}, channels_ * by * by);
}

Size Network::after(const Operation& op, Size size) {
  switch (op.kind) {
    case Kind::convolve: size.channels = op.one.matrix.outputs; break;
    case Kind::residual:
    case Kind::causal: break;
    case Kind::merge:
      if (size.frames % op.by != 1 % op.by) throw std::invalid_argument("frames must be 1 + a multiple of the span");
      size.channels = op.one.matrix.outputs, size.frames = 1 + (size.frames - 1) / op.by;
      break;
    case Kind::split: size.channels /= op.by, size.frames = 1 + (size.frames - 1) * op.by; break;
    case Kind::shuffle: size.channels /= op.by * op.by, size.rows *= op.by, size.columns *= op.by; break;
    case Kind::unshuffle:
      if (size.rows % op.by != 0 || size.columns % op.by != 0)
        throw std::invalid_argument("rows and columns must be multiples of " + std::to_string(op.by));
      size.channels *= op.by * op.by, size.rows /= op.by, size.columns /= op.by;
      break;
  }
  return size;
}

Size Network::size_after(Size size) const {
  for (const Operation& op : operations_) size = after(op, size);
  return size;
}

// out (pixels, outputs) from the rows that gather(pixel, row) fills.
template <typename Gather>
void Network::product(const Layer& layer, long pixels, float* out, Then then, Gather gather) {
  const Matrix& m = layer.matrix;
  const long parts = (pixels + kPixels - 1) / kPixels;
  float* gathered = gathered_.need(static_cast<size_t>(pool_->threads() * kPixels * m.inputs));
  pool_->run(parts, 1, [&](int self, long first, long last) {
    float* rows = gathered + self * kPixels * m.inputs;
    for (long pixel = first * kPixels; pixel < std::min(last * kPixels, pixels); pixel += kPixels) {
      const long count = std::min(kPixels, pixels - pixel);
      for (long i = 0; i < count; i++) gather(pixel + i, rows + i * m.inputs);
      Rows x;
      x.floats = rows, x.stride = m.inputs;
      kernels_.matmul(m, x, count, 0, m.panels, out + pixel * m.outputs, m.outputs, layer.bias, then);
    }
  });
}

void Network::square(const Layer& layer, const float* in, Size s, long side, float leak, float* out, Then then) {
  if (leak != 1.0f) {
    float* leaky = leaky_.need(s.count());
    const long width = s.columns * s.channels;
    pool_->run(s.batch * s.frames * s.rows, 4, [&](int, long first, long last) {
      for (long i = first * width; i < last * width; i++) leaky[i] = in[i] > 0 ? in[i] : in[i] * leak;
    });
    in = leaky;
  }
  const long c = s.channels, inputs = layer.matrix.inputs, fill = inputs - side * side * c;
  product(layer, s.pixels(), out, then, [=](long pixel, float* row) {
    if (fill > 0) std::memset(row + side * side * c, 0, sizeof(float) * fill);
    if (side == 1) {
      std::memcpy(row, in + pixel * c, sizeof(float) * c);
      return;
    }
    const long x = pixel % s.columns, y = pixel / s.columns % s.rows;
    const float* middle = in + pixel * c;
    const long from = x > 0 ? 0 : 1, to = x + 1 < s.columns ? 3 : 2;
    for (long dy = 0; dy < 3; dy++, row += 3 * c) {
      const bool outside = y + dy < 1 || y + dy > s.rows;
      if (outside || to - from < 3) std::memset(row, 0, sizeof(float) * 3 * c);
      if (!outside)
        std::memcpy(row + from * c, middle + ((dy - 1) * s.columns + from - 1) * c, sizeof(float) * (to - from) * c);
    }
  });
}

void Network::apply(const Operation& op, const float* in, Size s, float* out) {
  const long c = s.channels, map = s.rows * s.columns;
  // Rows of taps in time: of one place, the frames that source(frame, tap) names; before the first stands the first itself.
  const auto in_time = [&](long taps, auto source) {
    const long frames = after(op, s).frames, fill = op.one.matrix.inputs - taps * c;
    product(op.one, s.batch * frames * map, out, Then::store, [=](long pixel, float* row) {
      const long place = pixel % map, frame = pixel / map % frames, clip = pixel / map / frames;
      for (long tap = 0; tap < taps; tap++) {
        const long from = clip * s.frames + std::max(0L, source(frame, tap));
        std::memcpy(row + tap * c, in + (from * map + place) * c, sizeof(float) * c);
      }
      if (fill > 0) std::memset(row + taps * c, 0, sizeof(float) * fill);
    });
  };
  switch (op.kind) {
    case Kind::convolve: square(op.one, in, s, op.by, op.leak, out, Then::store); break;
    case Kind::residual:
      square(op.one, in, s, 3, op.leak, hidden_.need(s.count()), Then::relu);
      std::memcpy(out, in, sizeof(float) * s.count());
      square(op.two, hidden_.data(), s, 1, 1.0f, out, Then::add);
      break;
    case Kind::causal:
      in_time(3, [](long frame, long tap) { return frame - tap; });
      for (size_t i = 0; i < s.count(); i++) out[i] += in[i];
      break;
    case Kind::merge:
      in_time(op.by, [by = op.by](long frame, long tap) { return (frame - 1) * by + 1 + tap; });
      break;
    case Kind::split: {
      const long kept = 1 + (s.frames - 1) * op.by, part = c / op.by;
      for (long clip = 0; clip < s.batch; clip++)
        for (long f = 0; f < kept; f++) {
          const long frame = (f + op.by - 1) / op.by, slot = (f + op.by - 1) % op.by;
          const float* from = in + (clip * s.frames + frame) * map * c + slot * part;
          float* to = out + (clip * kept + f) * map * part;
          for (long i = 0; i < map; i++) std::memcpy(to + i * part, from + i * c, sizeof(float) * part);
        }
      break;
    }
    case Kind::shuffle: {
      const long by = op.by, part = c / by;  // (by, C) numbers that stay side by side
      pool_->run(s.batch * s.frames * s.rows, 4, [&](int, long first, long last) {
        for (long row = first; row < last; row++)
          for (long x = 0; x < s.columns; x++)
            for (long i = 0; i < by; i++)
              std::memcpy(out + ((row * by + i) * s.columns + x) * part, in + (row * s.columns + x) * c + i * part,
                          sizeof(float) * part);
      });
      break;
    }
    case Kind::unshuffle: {
      const long by = op.by, part = c * by, columns = s.columns / by;
      pool_->run(s.batch * s.frames * s.rows / by, 4, [&](int, long first, long last) {
        for (long row = first; row < last; row++)
          for (long x = 0; x < columns; x++)
            for (long i = 0; i < by; i++)
              std::memcpy(out + ((row * columns + x) * by + i) * part, in + ((row * by + i) * columns + x) * part,
                          sizeof(float) * part);
      });
      break;
    }
  }
}

void Network::run(const float* in, Size size, float* out) {
  std::lock_guard<std::mutex> lock(busy_);
  for (size_t i = 0; i < operations_.size(); i++) {
    const Size next = after(operations_[i], size);
    Buffer<float>& buffer = i % 2 == 0 ? ping_ : pong_;
    float* to = i + 1 == operations_.size() ? out : buffer.need(next.count());
    apply(operations_[i], in, size, to);
    in = to, size = next;
  }
}

}  // namespace triptych

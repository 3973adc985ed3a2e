// The kernels of one level. The including file defines LEVEL (the namespace), NAME, and what simd.h asks for.
#include <cstdint>
#include <cstring>
#ifdef TRIPTYCH_X86
#include <immintrin.h>
#endif

#include "level.h"

namespace triptych {
namespace LEVEL {
namespace {

#include "simd.h"

constexpr int kPanel = 2 * kLanes;
constexpr int kTile = kLanes == 16 ? 6 : kLanes == 8 ? 3 : 2;  // rows whose sums fit into the registers, four vectors each,
constexpr int kTileInt = 2 * kTile;                            // or two
constexpr long kAhead = 1024;                                  // bytes that full tiles of floats fetch before they need them

// e^x by Cody-Waite reduction and a polynomial (Cephes), to about one unit in the last place.
inline F exponential(F x) {
  x = least(most(x, all(-87.0f)), all(88.0f));
  const F n = whole(mul(x, all(1.44269504f)));
  F r = fma(n, all(-0.693359375f), x);
  r = fma(n, all(2.12194440e-4f), r);
  F p = all(1.9875691500e-4f);
  p = fma(p, r, all(1.3981999507e-3f));
  p = fma(p, r, all(8.3334519073e-3f));
  p = fma(p, r, all(4.1665795894e-2f));
  p = fma(p, r, all(1.6666665459e-1f));
  p = fma(p, r, all(5.0000001201e-1f));
  return times_power(add(fma(p, mul(r, r), r), all(1.0f)), n);
}

// e^x for x <= 0, and exactly nothing far below: what is illegal (-inf) must never be chosen.
inline F below(F x) { return where_above(x, all(-87.0f), exponential(x)); }

// e^(x - the largest) of n numbers, a multiple of the lanes; adds them to `sum` and gives the largest.
inline float softly(const float* x, long n, float* out, F& sum) {
  F high = load(x);
  for (long i = kLanes; i < n; i += kLanes) high = most(high, load(x + i));
  const float top = largest(high);
  for (long i = 0; i < n; i += kLanes) {
    const F e = below(sub(load(x + i), all(top)));
    store(out + i, e);
    sum = add(sum, e);
  }
  return top;
}

inline F silu(F x) { return div(x, add(all(1.0f), exponential(sub(all(0.0f), x)))); }

// Write the two vectors of one panel of one row, `width` columns at most (the last panel may be padded).
inline void finish(F one, F two, float* y, long column, long columns, const float* bias, Then then) {
  if (then == Then::swiglu) {
    store(y + column / 2, mul(silu(one), two));
    return;
  }
  float part[kPanel];
  const bool cut = column + kPanel > columns;
  float* out = cut ? part : y + column;
  if (bias != nullptr) one = add(one, load(bias + column)), two = add(two, load(bias + column + kLanes));
  if (then == Then::relu) one = most(one, all(0.0f)), two = most(two, all(0.0f));
  if (then == Then::add) {
    if (cut) {
      std::memset(part, 0, sizeof part);
      std::memcpy(part, y + column, sizeof(float) * (columns - column));
    }
    one = add(load(out), one), two = add(load(out + kLanes), two);
  }
  store(out, one);
  store(out + kLanes, two);
  if (cut) std::memcpy(y + column, part, sizeof(float) * (columns - column));
}

// T rows times one panel of floats, or of bfloat16 weights that become floats on the way; the first V of its two vectors,
// where the rest is padding. Even and odd inputs are summed apart, which hides the latency of the additions where there
// is but one row.
template <int T, int V, bool Pairs>
void tile_float(const Matrix& m, const Rows& x, long row, long panel, float* y, long stride, const float* bias, Then then) {
  constexpr long bytes = kPanel * (Pairs ? 2 : 4);
  const char* w = m.data + panel * m.stride;
  const float* in = x.floats + row * x.stride;
  F sums[T][2][2];
  for (auto& a : sums)
    for (auto& b : a) b[0] = b[1] = all(0.0f);
  for (long k = 0; k < m.inputs; k += 2, w += 2 * bytes) {
    for (int odd = 0; odd < 2; odd++) {
      const char* at = w + odd * bytes;
      F one, two;
      if constexpr (Pairs) {
        halves(load(reinterpret_cast<const float*>(at)), one, two);
      } else {
        one = load(reinterpret_cast<const float*>(at));
        two = load(reinterpret_cast<const float*>(at) + kLanes);
      }
      // Fewer rows wait for memory, which the processor itself fetches ahead better than it is told to.
      for (long line = 0; T == kTile && line < bytes; line += 64) __builtin_prefetch(at + kAhead + line);
      for (int t = 0; t < T; t++) {
        const F a = all(in[t * x.stride + k + odd]);
        sums[t][odd][0] = fma(a, one, sums[t][odd][0]);
        if constexpr (V > 1) sums[t][odd][1] = fma(a, two, sums[t][odd][1]);
      }
    }
  }
  for (int t = 0; t < T; t++)
    finish(add(sums[t][0][0], sums[t][1][0]), add(sums[t][0][1], sums[t][1][1]), y + (row + t) * stride, panel * kPanel,
           m.outputs, bias, then);
}

// T rows of bytes times one panel of bytes. Sums of integers are exact in any order; few rows sum even and odd inputs apart.
template <int T, int V>
void tile_int(const Matrix& m, const Rows& x, long row, long panel, float* y, long stride, const float* bias, Then then) {
  constexpr long bytes = kPanel * 4, chains = T > kTile / 2 ? 1 : 2;
  const char* start = m.data + panel * m.stride;
  const char* w = start + bytes;
  const int8_t* in = x.bytes + row * x.stride;
  I sums[T][chains][2];
  for (auto& a : sums) {
    a[chains - 1][0] = a[chains - 1][1] = all_int(0);
    a[0][0] = load_int(start), a[0][1] = load_int(start + bytes / 2);
  }
  for (long k = 0; k < m.inputs; k += 8, w += 2 * bytes) {
    for (int odd = 0; odd < 2; odd++) {
      const char* at = w + odd * bytes;
      const I one = load_int(at), two = load_int(at + bytes / 2);
      for (int t = 0; t < T; t++) {
        int32_t four;
        std::memcpy(&four, in + t * x.stride + k + 4 * odd, 4);
        const I a = all_int(four);
        I* sum = sums[t][odd % chains];
        sum[0] = dot(sum[0], a, one);
        if constexpr (V > 1) sum[1] = dot(sum[1], a, two);
      }
    }
  }
  for (int t = 0; t < T && chains > 1; t++)
    for (int v = 0; v < 2; v++) sums[t][0][v] = add_int(sums[t][0][v], sums[t][chains - 1][v]);
  const float* scale = reinterpret_cast<const float*>(w);
  for (int t = 0; t < T; t++) {
    const F by = all(x.scale[row + t]);
    finish(mul(to_float(sums[t][0][0]), mul(load(scale), by)), mul(to_float(sums[t][0][1]), mul(load(scale + kLanes), by)),
           y + (row + t) * stride, panel * kPanel, m.outputs, bias, then);
  }
}

// All rows times one panel, T at a time, and what is left over by smaller tiles.
template <int T, int V>
void tiles(const Matrix& m, const Rows& x, long row, long rows, long panel, float* y, long stride, const float* bias,
           Then then) {
  for (; row + T <= rows; row += T) {
    if (m.precision == Precision::int8)
      tile_int<T, V>(m, x, row, panel, y, stride, bias, then);
    else if constexpr (T <= kTile) {
      if (m.precision == Precision::bf16)
        tile_float<T, V, true>(m, x, row, panel, y, stride, bias, then);
      else
        tile_float<T, V, false>(m, x, row, panel, y, stride, bias, then);
    }
  }
  if constexpr (T > 1) tiles<T - 1, V>(m, x, row, rows, panel, y, stride, bias, then);
}

template <int V>
void all_tiles(const Matrix& m, const Rows& x, long rows, long panel, float* y, long stride, const float* bias, Then then) {
  if (m.precision == Precision::int8)
    tiles<kTileInt, V>(m, x, 0, rows, panel, y, stride, bias, then);
  else
    tiles<kTile, V>(m, x, 0, rows, panel, y, stride, bias, then);
}

void matmul(const Matrix& m, const Rows& x, long rows, long first, long last, float* y, long stride, const float* bias,
            Then then) {
  for (long panel = first; panel < last; panel++) {
    if (m.outputs - panel * kPanel > kLanes)
      all_tiles<2>(m, x, rows, panel, y, stride, bias, then);
    else
      all_tiles<1>(m, x, rows, panel, y, stride, bias, then);
  }
}

float root_mean_inverse(const float* x, long n) {
  F sum = all(0.0f);
  for (long i = 0; i < n; i += kLanes) sum = fma(load(x + i), load(x + i), sum);
  return 1.0f / __builtin_sqrtf(total(sum) / static_cast<float>(n) + 1e-6f);
}

void norm(const float* x, const float* weight, long n, float* out) {
  const F by = all(root_mean_inverse(x, n));
  for (long i = 0; i < n; i += kLanes) store(out + i, mul(mul(load(x + i), by), load(weight + i)));
}

void quantize(const float* x, long n, int8_t* out, float* scale) {
  F high = all(0.0f);
  for (long i = 0; i < n; i += kLanes) high = most(high, absolute(load(x + i)));
  const float top = largest(high);
  *scale = top / 127.0f;
  // A row so small that its inverse would overflow counts as zero.
  const F by = all(top > 1e-30f ? 127.0f / top : 0.0f);
  for (long i = 0; i < n; i += kLanes) {
    const F v = mul(load(x + i), by);
    store_bytes(out + i, least(most(v, all(-127.0f)), all(127.0f)), kUnsigned ? 128 : 0);
  }
}

void head(const float* x, const float* weight, const float* cos, const float* sin, float by, float* out) {
  const F scale = all(root_mean_inverse(x, kHead));
  constexpr long half = kHead / 2;
  for (long i = 0; i < half; i += kLanes) {
    F one = mul(mul(load(x + i), scale), load(weight + i));
    F two = mul(mul(load(x + half + i), scale), load(weight + half + i));
    if (cos != nullptr) {
      const F c = load(cos + i), s = load(sin + i);
      const F turned = sub(mul(one, c), mul(two, s));
      two = add(mul(one, s), mul(two, c));
      one = turned;
    }
    store(out + i, mul(one, all(by)));
    store(out + half + i, mul(two, all(by)));
  }
}

#include "attention.h"

float exponentials(const float* x, long n, float* out, float* sum) {
  F sums = all(0.0f);
  const long even = n / kLanes * kLanes;
  if (even == n) {
    const float top = softly(x, n, out, sums);
    *sum = total(sums);
    return top;
  }
  // The last few stand in a vector of their own, filled up with what gets nothing.
  float rest[kLanes], made[kLanes];
  for (int l = 0; l < kLanes; l++) rest[l] = even + l < n ? x[even + l] : -__builtin_inff();
  F high = load(rest);
  for (long i = 0; i < even; i += kLanes) high = most(high, load(x + i));
  const float top = largest(high);
  for (long i = 0; i < even; i += kLanes) {
    const F e = below(sub(load(x + i), all(top)));
    store(out + i, e);
    sums = add(sums, e);
  }
  const F e = below(sub(load(rest), all(top)));
  store(made, e);
  for (long i = even; i < n; i++) out[i] = made[i - even];
  *sum = total(add(sums, e));
  return top;
}

// Eight chains of additions, so that none waits for the one before it. What is told to be fetched ahead is read slower.
int32_t sum(const char* data, long bytes) {
  constexpr long chains = 8, vector = 4 * kLanes, together = chains * vector;
  I sums[chains];
  for (I& s : sums) s = all_int(0);
  long at = 0;
  for (; at + together <= bytes; at += together) {
    for (long c = 0; c < chains; c++) sums[c] = add_int(sums[c], load_int(data + at + c * vector));
  }
  for (; at < bytes; at += vector) sums[0] = add_int(sums[0], load_int(data + at));
  int32_t out = 0;
  for (const I& s : sums) {
    int32_t part[kLanes];
    std::memcpy(part, &s, sizeof part);
    for (int32_t value : part) out += value;
  }
  return out;
}

}  // namespace
}  // namespace LEVEL

extern const Kernels TABLE = {NAME,
                              LEVEL::kPanel,
                              LEVEL::kUnsigned,
                              LEVEL::matmul,
                              LEVEL::norm,
                              LEVEL::quantize,
                              LEVEL::head,
                              LEVEL::keep,
                              LEVEL::attend,
                              LEVEL::exponentials,
                              LEVEL::sum};

}  // namespace triptych

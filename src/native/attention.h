// Attention over a paged cache, in blocks of kBlock positions with a running softmax (arXiv 2205.14135). Included inside the
// namespace of a level. A query's sums run over the same blocks in the same order, whichever queries stand beside it.
//
// Keys, values, queries and probabilities are words of 32 bits: a float, or a pair of bfloat16 (J queries, E = 64, P = 16).

constexpr int kTogether = 6;                  // queries whose sums fit into the registers,
constexpr int kGroup = kLanes == 16 ? 4 : 2;  // by so many vectors
constexpr long kBlock = 64;                   // positions

// What a query carries from block to block; its weighted sum of values stands in `out`.
struct Running {
  float top;  // the largest score so far
  alignas(64) float sum[kLanes];
};

// sum + x * w, of floats or of pairs.
template <bool Pairs>
inline F multiply(F x, F w, F sum) {
  return Pairs ? dot_pairs(sum, x, w) : fma(x, w, sum);
}

void keep(const float* key, const float* value, float* page, long at, bool pairs) {
  if (!pairs) {
    for (long e = 0; e < kHead; e++) page[e * kPage + at] = key[e];
    std::memcpy(page + kHalfPage + at * kHead, value, sizeof(float) * kHead);
    return;
  }
  uint16_t part[2 * kHead];
  round_pairs(key, kHead, part);
  round_pairs(value, kHead, part + kHead);
  uint16_t* keys = reinterpret_cast<uint16_t*>(page) + at * 2;
  uint16_t* values = reinterpret_cast<uint16_t*>(page + kHalfPage / 2) + at / 2 * 2 * kHead + at % 2;
  for (long e = 0; e < kHead; e++) keys[e / 2 * 2 * kPage + e % 2] = part[e], values[e * 2] = part[kHead + e];
}

// J queries against the block of positions that begins at `start`.
template <int J, bool Pairs>
void attend_block(const float* const* queries, const float* const* pages, long offset, long start, const long* limits,
                  Running* running, float* const* out) {
  constexpr long size = Pairs ? 2 : 1;  // numbers in a word
  alignas(64) float scores[J][kBlock];
  long longest = 0;
  for (int j = 0; j < J; j++) longest = limits[j] > longest ? limits[j] : longest;
  const long end = longest - start < kBlock ? longest - start : kBlock;
  const long last = (longest - 1) / kPage;  // no page stands behind it: read it again, and mask that
  for (long first = 0; first < kBlock; first += kGroup * kLanes) {
    const float* keys[kGroup];
    for (int g = 0; g < kGroup; g++) {
      const long at = start + first + g * kLanes, page = at / kPage;
      keys[g] = pages[page < last ? page : last] + offset + at % kPage;
    }
    F sums[J][kGroup];
    for (auto& s : sums)
      for (auto& v : s) v = all(0.0f);
    for (long k = 0; k < kHead / size; k++) {
      F w[kGroup];
      for (int g = 0; g < kGroup; g++) w[g] = load(keys[g] + k * kPage);
      for (int j = 0; j < J; j++) {
        const F x = all(queries[j][k]);
        for (int g = 0; g < kGroup; g++) sums[j][g] = multiply<Pairs>(x, w[g], sums[j][g]);
      }
    }
    for (int j = 0; j < J; j++)
      for (int g = 0; g < kGroup; g++) store(scores[j] + first + g * kLanes, sums[j][g]);
  }
  for (int j = 0; j < J; j++) {
    float* row = scores[j];
    for (long i = limits[j] - start < 0 ? 0 : limits[j] - start; i < kBlock; i++) row[i] = -__builtin_inff();
    F high = load(row);
    for (long i = kLanes; i < kBlock; i += kLanes) high = most(high, load(row + i));
    const float before = running[j].top, here = largest(high);
    F sum = load(running[j].sum);
    if (here > before) {
      const F by = below(all(before - here));
      running[j].top = here;
      sum = mul(sum, by);
      for (long e = 0; e < kHead; e += kLanes) store(out[j] + e, mul(load(out[j] + e), by));
    }
    const F top = all(running[j].top);
    for (long i = 0; i < kBlock; i += kLanes) {
      const F p = below(sub(load(row + i), top));
      sum = add(sum, p);
      if constexpr (Pairs) {
        store_pairs(row + i / 2, p);  // stays behind what is still to be read
      } else {
        store(row + i, p);
      }
    }
    store(running[j].sum, sum);
  }
  for (long column = 0; column < kHead; column += kGroup * kLanes) {
    F sums[J][kGroup];
    for (int j = 0; j < J; j++)
      for (int g = 0; g < kGroup; g++) sums[j][g] = load(out[j] + column + g * kLanes);
    for (long page = 0; page * kPage < end; page++) {
      const float* values = pages[start / kPage + page] + offset + kHalfPage / size + column;
      const long rows = end - page * kPage < kPage ? (end - page * kPage + size - 1) / size : kPage / size;
      for (long i = 0; i < rows; i++) {
        F w[kGroup];
        for (int g = 0; g < kGroup; g++) w[g] = load(values + i * kHead + g * kLanes);
        for (int j = 0; j < J; j++) {
          const F p = all(scores[j][page * kPage / size + i]);
          for (int g = 0; g < kGroup; g++) sums[j][g] = multiply<Pairs>(p, w[g], sums[j][g]);
        }
      }
    }
    for (int j = 0; j < J; j++)
      for (int g = 0; g < kGroup; g++) store(out[j] + column + g * kLanes, sums[j][g]);
  }
}

template <int J, bool Pairs>
void attend_blocks(const float* const* queries, int count, const float* const* pages, long offset, long start,
                   const long* limits, Running* running, float* const* out) {
  int j = 0;
  for (; j + J <= count; j += J)
    if (limits[j + J - 1] > start)  // limits never fall
      attend_block<J, Pairs>(queries + j, pages, offset, start, limits + j, running + j, out + j);
  if constexpr (J > 1)
    attend_blocks<J - 1, Pairs>(queries + j, count - j, pages, offset, start, limits + j, running + j, out + j);
}

template <bool Pairs>
void attend_by(const float* const* given, int count, const float* const* pages, long offset, const long* limits,
               float* const* out) {
  Running running[kQueries];
  const float* queries[kQueries];
  float rounded[Pairs ? kQueries : 1][kHead / 2];
  for (int j = 0; j < count; j++) {
    running[j].top = -__builtin_inff();
    for (float& s : running[j].sum) s = 0.0f;
    std::memset(out[j], 0, sizeof(float) * kHead);
    queries[j] = given[j];
    if constexpr (Pairs) {
      uint16_t part[kHead];
      round_pairs(given[j], kHead, part);
      std::memcpy(rounded[j], part, sizeof part);
      queries[j] = rounded[j];
    }
  }
  for (long start = 0; start < limits[count - 1]; start += kBlock)
    attend_blocks<kTogether, Pairs>(queries, count, pages, offset, start, limits, running, out);
  for (int j = 0; j < count; j++) {
    const F by = all(1.0f / total(load(running[j].sum)));
    for (long e = 0; e < kHead; e += kLanes) store(out[j] + e, mul(load(out[j] + e), by));
  }
}

void attend(const float* const* queries, int count, const float* const* pages, long offset, const long* limits,
            float* const* out, bool pairs) {
  if (pairs)
    attend_by<true>(queries, count, pages, offset, limits, out);
  else
    attend_by<false>(queries, count, pages, offset, limits, out);
}

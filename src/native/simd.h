// One vector type under one set of names, for the level that the including file chose by its macro. Included inside the
// level's own namespace, where everything is static, so that no two levels share a symbol.
//
// F: kLanes floats. I: kLanes 32-bit integers, each also four bytes.

#if defined(LEVEL_VNNI) || defined(LEVEL_AVX512)

constexpr int kLanes = 16;
using F = __m512;
using I = __m512i;
static inline F load(const float* p) { return _mm512_loadu_ps(p); }
static inline void store(float* p, F a) { _mm512_storeu_ps(p, a); }
static inline F all(float a) { return _mm512_set1_ps(a); }
static inline F add(F a, F b) { return _mm512_add_ps(a, b); }
static inline F sub(F a, F b) { return _mm512_sub_ps(a, b); }
static inline F mul(F a, F b) { return _mm512_mul_ps(a, b); }
static inline F div(F a, F b) { return _mm512_div_ps(a, b); }
static inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
static inline F most(F a, F b) { return _mm512_max_ps(a, b); }
static inline F least(F a, F b) { return _mm512_min_ps(a, b); }
static inline F absolute(F a) { return _mm512_abs_ps(a); }
static inline float total(F a) { return _mm512_reduce_add_ps(a); }
static inline float largest(F a) { return _mm512_reduce_max_ps(a); }
static inline F whole(F a) { return _mm512_roundscale_ps(a, 0); }
static inline F times_power(F a, F n) { return _mm512_scalef_ps(a, n); }
static inline F where_above(F x, F floor, F a) { return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, floor, _CMP_GT_OQ), a); }
static inline void halves(F a, F& low, F& high) {
  const I v = _mm512_castps_si512(a);
  low = _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
  high = _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
}
static inline I load_int(const void* p) { return _mm512_loadu_si512(p); }
static inline I all_int(int32_t a) { return _mm512_set1_epi32(a); }
static inline F to_float(I a) { return _mm512_cvtepi32_ps(a); }
static inline I add_int(I a, I b) { return _mm512_add_epi32(a, b); }
static inline void store_bytes(int8_t* p, F a, int plus) {
  const I v = _mm512_add_epi32(_mm512_cvtps_epi32(a), _mm512_set1_epi32(plus));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(v));
}
#ifdef LEVEL_VNNI
constexpr bool kUnsigned = true;
static inline I dot(I sum, I x, I w) {
  // By hand: GCC 12 copies each sum to another register and back around the intrinsic, which costs half the speed.
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
  return sum;
}
#else
constexpr bool kUnsigned = false;
static inline I dot(I sum, I x, I w) {
  // |x| times w with the sign of x: bytes in [-127, 127], so pairs of products fit into 16 bits.
  const I signed_w = _mm512_mask_sub_epi8(w, _mm512_movepi8_mask(x), _mm512_setzero_si512(), w);
  const I pairs = _mm512_maddubs_epi16(_mm512_abs_epi8(x), signed_w);
  return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
#endif

#elif defined(LEVEL_AVX2)

constexpr int kLanes = 8;
using F = __m256;
using I = __m256i;
static inline F load(const float* p) { return _mm256_loadu_ps(p); }
static inline void store(float* p, F a) { _mm256_storeu_ps(p, a); }
static inline F all(float a) { return _mm256_set1_ps(a); }
static inline F add(F a, F b) { return _mm256_add_ps(a, b); }
static inline F sub(F a, F b) { return _mm256_sub_ps(a, b); }
static inline F mul(F a, F b) { return _mm256_mul_ps(a, b); }
static inline F div(F a, F b) { return _mm256_div_ps(a, b); }
static inline F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
static inline F most(F a, F b) { return _mm256_max_ps(a, b); }
static inline F least(F a, F b) { return _mm256_min_ps(a, b); }
static inline F absolute(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
static inline float total(F a) {
  __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  b = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
static inline float largest(F a) {
  __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  b = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}
static inline F whole(F a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline F times_power(F a, F n) {
  const I bits = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(a, _mm256_castsi256_ps(bits));
}
static inline F where_above(F x, F floor, F a) { return _mm256_and_ps(_mm256_cmp_ps(x, floor, _CMP_GT_OQ), a); }
static inline void halves(F a, F& low, F& high) {
  const I v = _mm256_castps_si256(a);
  low = _mm256_castsi256_ps(_mm256_slli_epi32(v, 16));
  high = _mm256_castsi256_ps(_mm256_and_si256(v, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
}
static inline I load_int(const void* p) { return _mm256_loadu_si256(static_cast<const I*>(p)); }
static inline I all_int(int32_t a) { return _mm256_set1_epi32(a); }
static inline F to_float(I a) { return _mm256_cvtepi32_ps(a); }
static inline I add_int(I a, I b) { return _mm256_add_epi32(a, b); }
static inline void store_bytes(int8_t* p, F a, int) {
  const I v = _mm256_cvtps_epi32(a);
  const __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(half, half));
}
constexpr bool kUnsigned = false;
static inline I dot(I sum, I x, I w) {
  // |x| times w with the sign of x: bytes in [-127, 127], so pairs of products fit into 16 bits.
  const I pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(w, x));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

#else  // portable: vectors of four as GCC and clang spell them, which are SSE2 or NEON where there is such a thing

constexpr int kLanes = 4;
typedef float F __attribute__((vector_size(16)));
typedef int32_t I __attribute__((vector_size(16)));
static inline F load(const float* p) { F a; std::memcpy(&a, p, sizeof a); return a; }
static inline void store(float* p, F a) { std::memcpy(p, &a, sizeof a); }
static inline F all(float a) { return F{a, a, a, a}; }
static inline F add(F a, F b) { return a + b; }
static inline F sub(F a, F b) { return a - b; }
static inline F mul(F a, F b) { return a * b; }
static inline F div(F a, F b) { return a / b; }
static inline F fma(F a, F b, F c) { return a * b + c; }
static inline I bits(F a) { return reinterpret_cast<I>(a); }
static inline F choose(I mask, F a, F b) { return reinterpret_cast<F>((mask & bits(a)) | (~mask & bits(b))); }
static inline F where_above(F x, F floor, F a) { return reinterpret_cast<F>((x > floor) & bits(a)); }
static inline F most(F a, F b) { return choose(a > b, a, b); }
static inline F least(F a, F b) { return choose(a < b, a, b); }
static inline F absolute(F a) { return most(a, -a); }
static inline float total(F a) { return (a[0] + a[2]) + (a[1] + a[3]); }
static inline float largest(F a) {
  float m = a[0];
  for (int i = 1; i < kLanes; i++) m = a[i] > m ? a[i] : m;
  return m;
}
static inline F whole(F a) {
  const F big = all(12582912.0f);  // 1.5 * 2^23: adding it rounds to whole numbers, for |a| < 2^22
  return (a + big) - big;
}
static inline I to_int(F a) { return I{(int32_t)a[0], (int32_t)a[1], (int32_t)a[2], (int32_t)a[3]}; }
static inline F times_power(F a, F n) { return a * reinterpret_cast<F>((to_int(n) + 127) << 23); }
static inline void halves(F a, F& low, F& high) {
  const I v = reinterpret_cast<I>(a);
  low = reinterpret_cast<F>(v << 16);
  high = reinterpret_cast<F>(v & ~I{0xffff, 0xffff, 0xffff, 0xffff});
}
static inline I load_int(const void* p) { I a; std::memcpy(&a, p, sizeof a); return a; }
static inline I all_int(int32_t a) { return I{a, a, a, a}; }
static inline F to_float(I a) { return F{(float)a[0], (float)a[1], (float)a[2], (float)a[3]}; }
static inline I add_int(I a, I b) { return a + b; }
static inline void store_bytes(int8_t* p, F a, int) {
  const F r = whole(a);
  for (int i = 0; i < kLanes; i++) p[i] = (int8_t)r[i];
}
constexpr bool kUnsigned = false;
static inline I dot(I sum, I x, I w) {
  // Each byte is moved to the top of its lane and back, which spreads its sign.
  for (int shift = 24; shift >= 0; shift -= 8) sum += ((x << shift) >> 24) * ((w << shift) >> 24);
  return sum;
}

#endif

// Words of two bfloat16 numbers, which `halves` turns into floats.
static inline void round_pairs(const float* x, long n, uint16_t* out) {  // to nearest, ties to even
  for (long i = 0; i < n; i++) {
    uint32_t bits;
    std::memcpy(&bits, x + i, sizeof bits);
    out[i] = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  }
}
#ifdef LEVEL_BF16
static inline F dot_pairs(F sum, F x, F w) { return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w); }
static inline void store_pairs(void* p, F a) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), (__m256i)_mm512_cvtneps_pbh(a));
}
#else
static inline F dot_pairs(F sum, F x, F w) {
  F x0, x1, w0, w1;
  halves(x, x0, x1);
  halves(w, w0, w1);
  return fma(x1, w1, fma(x0, w0, sum));
}
static inline void store_pairs(void* p, F a) {
  float from[kLanes];
  uint16_t to[kLanes];
  store(from, a);
  round_pairs(from, kLanes, to);
  std::memcpy(p, to, sizeof to);
}
#endif

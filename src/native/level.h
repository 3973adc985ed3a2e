// What the levels (one translation unit each, compiled for one kind of processor) give to the rest: a table of functions.
// Only plain data stands here: an inline function in a header that several levels include could be kept, by the linker,
// in the version of a processor that this machine isn't.
//
// N outputs, K inputs, R rows, E = 64 width of a head, P = 16 positions of a page.
#pragma once
#include <cstdint>

namespace triptych {

constexpr long kHead = 64;                      // E
constexpr long kPage = 16;                      // P
constexpr long kHalfPage = kHead * kPage;       // keys, or values, of one head in a page
constexpr int kQueries = 24;                    // queries that share one read of keys and values

enum class Precision { fp32, bf16, int8 };

// What happens to a product before it is written.
enum class Then {
  store,   // y = xW + bias
  add,     // y += xW + bias
  relu,    // y = max(xW + bias, 0)
  swiglu,  // y = silu(gate) * value; the first half of each panel holds gates, the second their values
};

// A weight matrix (N, K) cut into panels of some outputs each, padded with zeros. One panel lies in one piece, input
// after input, so that a product reads it from front to back:
//   fp32  [panel][K][outputs]
//   bf16  [panel][K][outputs / 2] 32-bit pairs: output i below, output i + outputs / 2 above
//   int8  [panel]: what each sum begins with [outputs], the weights [K / 4][outputs][4], a scale an output [outputs]
struct Matrix {
  long outputs = 0, inputs = 0, panels = 0;
  long stride = 0;  // bytes of a panel
  Precision precision = Precision::fp32;
  const char* data = nullptr;
};

// The left side of a product: R rows of floats, or of bytes with a scale a row.
struct Rows {
  const float* floats = nullptr;
  const int8_t* bytes = nullptr;
  const float* scale = nullptr;
  long stride = 0;
};

// Results of a row never depend on how many rows there are: each sum runs in the same order.
struct Kernels {
  const char* name;
  int panel;         // outputs of a panel
  bool unsigned8;    // bytes of rows are stored plus 128, which the start of each sum takes off again

  // y (R, N) from rows times the panels [first, last) of a matrix; swiglu writes half as many columns.
  void (*matmul)(const Matrix&, const Rows&, long rows, long first, long last, float* y, long stride, const float* bias,
                 Then);
  // RMSNorm (arXiv 1910.07467) with eps 1e-6; n is a multiple of 16.
  void (*norm)(const float* x, const float* weight, long n, float* out);
  // Bytes and their scale, from n floats (a multiple of 16).
  void (*quantize)(const float* x, long n, int8_t* out, float* scale);
  // Norm one head, multiply it by `by`, turn its pairs (i, i + 32) by the angles where there are any.
  void (*head)(const float* x, const float* weight, const float* cos, const float* sin, float by, float* out);
  // Write the key and the value (E each) of one head at place `at` of a page: keys as (E, P), values behind them as
  // (P, E). As `pairs` they are rounded to bfloat16, two neighbours along E (keys) or P (values) in each 32-bit word.
  void (*keep)(const float* key, const float* value, float* page, long at, bool pairs);
  // Softmax attention of up to kQueries queries over the positions [0, limits[j]) of one head, whose keys and values lie
  // at `offset` in each page. As `pairs` queries and probabilities are rounded to bfloat16, too; sums are float32.
  void (*attend)(const float* const* queries, int count, const float* const* pages, long offset, const long* limits,
                 float* const* out, bool pairs);
  // exp(x - its largest), and their sum; n may be any number. Gives the largest.
  float (*exponentials)(const float* x, long n, float* out, float* sum);
  // The sum of the 32-bit integers in so many bytes, a multiple of 64: as fast as memory can be read.
  int32_t (*sum)(const char* data, long bytes);
};

extern const Kernels kPortable;
#ifdef TRIPTYCH_X86
extern const Kernels kAvx2;
extern const Kernels kAvx512;
extern const Kernels kVnni;
extern const Kernels kBf16;
#endif

}  // namespace triptych

#define LEVEL avx512
#define LEVEL_AVX512
#define TABLE kAvx512
#define NAME "avx512"
#include "kernels.h"

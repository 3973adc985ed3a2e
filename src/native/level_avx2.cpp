#define LEVEL avx2
#define LEVEL_AVX2
#define TABLE kAvx2
#define NAME "avx2"
#include "kernels.h"

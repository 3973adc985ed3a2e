#define LEVEL bf16
#define LEVEL_VNNI
#define LEVEL_BF16
#define TABLE kBf16
#define NAME "avx512-bf16"
#include "kernels.h"

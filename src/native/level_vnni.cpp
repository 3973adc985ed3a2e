#define LEVEL vnni
#define LEVEL_VNNI
#define TABLE kVnni
#define NAME "avx512-vnni"
#include "kernels.h"

#define LEVEL portable
#define LEVEL_PORTABLE
#define TABLE kPortable
#define NAME "portable"
#include "kernels.h"

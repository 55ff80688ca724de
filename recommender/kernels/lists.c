/* The loops over all resources: what `score`, `best` and `rank` of `plain.py` do.

   `lanes.h` has them for vectors of 2, 4 and 8 doubles, and which the processor takes is asked when they are called:
   what is compiled elsewhere and runs here need not know in advance.

   Resources' vectors are read as float, which is half the memory that a matrix product of doubles goes through, and
   memory is what a product of few rows waits for. All numbers are whole and every sum is below 2**53, so nothing is
   ever rounded, in whichever order and with whichever instructions it is summed: products and sums may be fused. */

#include "lists.h"

#include <math.h>
#include <string.h>

#pragma GCC optimize("fp-contract=fast")

enum { AT_ONCE = 6, PICKED_FROM = 32, COUNTED_IN = 512 };

#define LANES 2
#define FOR_THESE
#include "lanes.h"
#undef LANES
#undef FOR_THESE

#if defined(__x86_64__)

#define LANES 4
#define FOR_THESE __attribute__((target("avx2,fma")))
#include "lanes.h"
#undef LANES
#undef FOR_THESE

#define LANES 8
#define FOR_THESE __attribute__((target("avx512f")))
#include "lanes.h"
#undef LANES
#undef FOR_THESE

#define BY_LANES(function, ...)                        \
    switch (lanes) {                                   \
    case 8: function##_8(__VA_ARGS__); break;          \
    case 4: function##_4(__VA_ARGS__); break;          \
    default: function##_2(__VA_ARGS__); break;         \
    }

int widest_lanes(void)
{
    if (__builtin_cpu_supports("avx512f"))
        return 8;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 4 : 2;
}

#else

#define BY_LANES(function, ...) (void)lanes; function##_2(__VA_ARGS__);

int widest_lanes(void) { return 2; }

#endif

void score_all(
    int lanes, ptrdiff_t profiles, const double *vectors, ptrdiff_t size, const float *tiles, const double *biases,
    const unsigned char *listed, ptrdiff_t width, double *scores)
{
    BY_LANES(score_all, profiles, vectors, size, tiles, biases, listed, width, scores)
}

void best_of(int lanes, const double *scores, ptrdiff_t width, int64_t *rows, ptrdiff_t room)
{
    BY_LANES(best_of, scores, width, rows, room)
}

void rank_in(
    int lanes, const double *scores, ptrdiff_t width, const int64_t *rows, ptrdiff_t wanted, int64_t *places)
{
    BY_LANES(rank_in, scores, width, rows, wanted, places)
}

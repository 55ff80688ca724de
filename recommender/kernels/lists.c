/* The loops over all resources: what `score`, `best` and `rank` of `plain.py` do.

   `lanes.h` has them for vectors of 2, 4 and 8 doubles, and which the processor takes is asked when they are called:
   what is compiled elsewhere and runs here need not know in advance.

   Resources' vectors are read as float, which is half the memory that a matrix product of doubles goes through, and
   memory is what a product of few rows waits for. All numbers are whole and every sum is below 2**53, so nothing is
   ever rounded, in whichever order and with whichever instructions it is summed: products and sums may be fused. */

#include "lists.h"

#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#pragma GCC optimize("fp-contract=fast")

enum { PICKED_FROM = 32, COUNTED_IN = 512 };

/* Added and taken away again, it leaves the nearest whole number, ties to even, as `rint` does, but several at a time:
   above it, doubles have no fractions. What is rounded is far below 2**51. */
static const double ROUNDING = 0x1.8p52;

static inline int32_t joined(const int16_t *both)
{
    int32_t one;
    memcpy(&one, both, sizeof one);
    return one;
}

/* For each width: `add_products` adds to sums, for as many resources as fit, two components of theirs times two of a
   profile's; `which_above` has a bit for each of as many scores. */

#if defined(__x86_64__)

#define LANES 2
#define FOR_THESE
FOR_THESE static inline __v4si add_products_2(__v4si sums, const int16_t *from, const int16_t *both)
{
    return sums + (__v4si)_mm_madd_epi16(_mm_loadu_si128((const __m128i *)from), _mm_set1_epi32(joined(both)));
}
FOR_THESE static inline unsigned which_above_2(__m128 scores, float bound)
{
    return _mm_movemask_ps(_mm_cmpgt_ps(scores, _mm_set1_ps(bound)));
}
#include "lanes.h"
#undef LANES
#undef FOR_THESE

#define LANES 4
#define FOR_THESE __attribute__((target("avx2,fma")))
FOR_THESE static inline __v8si add_products_4(__v8si sums, const int16_t *from, const int16_t *both)
{
    return sums + (__v8si)_mm256_madd_epi16(_mm256_loadu_si256((const __m256i *)from), _mm256_set1_epi32(joined(both)));
}
FOR_THESE static inline unsigned which_above_4(__m256 scores, float bound)
{
    return _mm256_movemask_ps(_mm256_cmp_ps(scores, _mm256_set1_ps(bound), _CMP_GT_OQ));
}
#include "lanes.h"
#undef LANES
#undef FOR_THESE

#define LANES 8
#define FOR_THESE __attribute__((target("avx512f,avx512vnni")))
FOR_THESE static inline __v16si add_products_8(__v16si sums, const int16_t *from, const int16_t *both)
{
    return (__v16si)_mm512_dpwssd_epi32((__m512i)sums, _mm512_loadu_si512(from), _mm512_set1_epi32(joined(both)));
}
FOR_THESE static inline unsigned which_above_8(__m512 scores, float bound)
{
    return _mm512_cmp_ps_mask(scores, _mm512_set1_ps(bound), _CMP_GT_OQ);
}
#include "lanes.h"
#undef LANES
#undef FOR_THESE

#define AS_WIDE(function) (lanes == 8 ? function##_8 : lanes == 4 ? function##_4 : function##_2)

int widest_lanes(void)
{
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni"))
        return 8;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 4 : 2;
}

#else

typedef int32_t four_sums __attribute__((vector_size(16)));
typedef float four_scores __attribute__((vector_size(16)));

#define LANES 2
#define FOR_THESE
static inline four_sums add_products_2(four_sums sums, const int16_t *from, const int16_t *both)
{
    for (int lane = 0; lane < 4; lane++)
        sums[lane] += from[2 * lane] * both[0] + from[2 * lane + 1] * both[1];
    return sums;
}
static inline unsigned which_above_2(four_scores scores, float bound)
{
    unsigned above = 0;
    for (int lane = 0; lane < 4; lane++)
        above |= (unsigned)(scores[lane] > bound) << lane;
    return above;
}
#include "lanes.h"
#undef LANES
#undef FOR_THESE

#define AS_WIDE(function) ((void)lanes, function##_2)

int widest_lanes(void) { return 2; }

#endif

void score_all(
    int lanes, ptrdiff_t profiles, const double *vectors, ptrdiff_t size, const float *tiles, const double *biases,
    const unsigned char *listed, ptrdiff_t width, double *scores)
{
    AS_WIDE(score_all)(profiles, vectors, size, tiles, biases, listed, width, scores);
}

void best_of(int lanes, const double *scores, ptrdiff_t width, int64_t *rows, ptrdiff_t room)
{
    AS_WIDE(best_of)(scores, width, rows, room);
}

void rank_in(
    int lanes, const double *scores, ptrdiff_t width, const int64_t *rows, ptrdiff_t wanted, int64_t *places)
{
    AS_WIDE(rank_in)(scores, width, rows, wanted, places);
}

ptrdiff_t count_above(int lanes, const double *scores, ptrdiff_t count, double bound)
{
    return AS_WIDE(count_above)(scores, count, bound);
}

void find_above(int lanes, struct search *search)
{
    AS_WIDE(find_above)(search);
}

void order_of(int lanes, const double *numbers, ptrdiff_t count, int64_t *order)
{
    AS_WIDE(order)(numbers, count, order);
}

void add_rounded(int lanes, double weight, const float *numbers, ptrdiff_t size, double *parts, double *sums)
{
    AS_WIDE(add_rounded)(weight, numbers, size, parts, sums);
}

double product(int lanes, const double *one, const float *other, ptrdiff_t size)
{
    return AS_WIDE(product)(one, other, size);
}

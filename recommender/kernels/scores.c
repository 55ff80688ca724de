/* The scores of all resources for several profiles: what `score` of `plain.py` does by a matrix product.

   Resources' vectors are read as float, which is half the memory that the matrix product of doubles goes through, and
   memory is what a product of few rows waits for. All numbers are whole and every sum is below 2**53, so nothing is
   ever rounded, in whichever order and with whichever instructions it is summed. */

#include "scores.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__)
#define FOR_EVERY_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EVERY_PROCESSOR
#endif

enum { HALF = TILE / 2, AT_ONCE = 6 };

typedef double doubles __attribute__((vector_size(HALF * sizeof(double))));
typedef float floats __attribute__((vector_size(HALF * sizeof(float))));

/* Called with a constant number of profiles, so that their sums stay in registers. */
static inline __attribute__((always_inline)) void score_few(
    const int profiles, const double *vectors, ptrdiff_t size, const float *tiles, const double *biases,
    const unsigned char *listed, ptrdiff_t width, double *scores)
{
    for (ptrdiff_t first = 0; first < width; first += TILE) {
        ptrdiff_t count = width - first < TILE ? width - first : TILE;
        doubles left[AT_ONCE], right[AT_ONCE];
        double sums[TILE];
        for (int profile = 0; profile < profiles; profile++)
            left[profile] = right[profile] = (doubles){0};
        for (ptrdiff_t component = 0; component < size; component++, tiles += TILE) {
            floats one, other;
            memcpy(&one, tiles, sizeof one);
            memcpy(&other, tiles + HALF, sizeof other);
            doubles of_one = __builtin_convertvector(one, doubles);
            doubles of_other = __builtin_convertvector(other, doubles);
            for (int profile = 0; profile < profiles; profile++) {
                double value = vectors[profile * size + component];
                left[profile] += value * of_one;
                right[profile] += value * of_other;
            }
        }
        for (int profile = 0; profile < profiles; profile++) {
            memcpy(sums, &left[profile], sizeof left[profile]);
            memcpy(sums + HALF, &right[profile], sizeof right[profile]);
            for (ptrdiff_t place = 0; place < count; place++)
                scores[profile * width + first + place] =
                    listed[first + place] ? sums[place] + biases[first + place] : -INFINITY;
        }
    }
}

FOR_EVERY_PROCESSOR
void score_all(
    ptrdiff_t profiles, const double *vectors, ptrdiff_t size, const float *tiles, const double *biases,
    const unsigned char *listed, ptrdiff_t width, double *scores)
{
    while (profiles > 0) {
        ptrdiff_t now = profiles < AT_ONCE ? profiles : AT_ONCE;
        switch (now) {
        case 1: score_few(1, vectors, size, tiles, biases, listed, width, scores); break;
        case 2: score_few(2, vectors, size, tiles, biases, listed, width, scores); break;
        case 3: score_few(3, vectors, size, tiles, biases, listed, width, scores); break;
        case 4: score_few(4, vectors, size, tiles, biases, listed, width, scores); break;
        case 5: score_few(5, vectors, size, tiles, biases, listed, width, scores); break;
        default: score_few(6, vectors, size, tiles, biases, listed, width, scores); break;
        }
        profiles -= now;
        vectors += now * size;
        scores += now * width;
    }
}

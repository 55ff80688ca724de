#include <stddef.h>
#include <stdint.h>

/* A catalogue as `Standings` of `plain.py` takes it, exactly and in whole numbers of 16 bits. */
struct catalogue {
    ptrdiff_t width, size, pairs;
    const float *outputs;       /* (width, size) */
    const double *biases;       /* (width) */
    const int16_t *tiles;       /* (width / ROUGH_TILE rounded up, pairs, ROUGH_TILE, 2) outputs in rough steps */
    const float *rough_biases;  /* (width rounded up to ROUGH_TILE) */
    double step;                /* what is 1 in `tiles` */
    double longest, greatest;   /* the length of the longest of the outputs, the magnitude of the greatest bias */
};

enum { ROUGHLY = 32000 };       /* how long a vector of 16-bit numbers is: no product of two reaches 2**31 */

/* Find where `wanted` rows stand in up to AT_ONCE lists, and the first `room` of each; -1 where there is no memory.

   vectors: (lists, size). barred: (width) has a bit for each list that a row is kept out of. rows: (wanted) different.
   places: (lists, wanted) 0 for what is not in a list. heads: (lists, room) -1 where a list has ended. */
int find_standings(
    int lanes, const struct catalogue *of, ptrdiff_t lists, const double *vectors, const uint8_t *barred,
    const int64_t *rows, ptrdiff_t wanted, int64_t *places, int64_t *heads, ptrdiff_t room);

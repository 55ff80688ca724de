#include <stddef.h>
#include <stdint.h>

enum { TILE = 16 };

/* How many doubles at once this processor is best at: 2, 4 or 8. All functions do the same with fewer. */
int widest_lanes(void);

/* Score `width` resources for several profiles.

   vectors: (profiles, size). tiles: (width / TILE rounded up, size, TILE), the resources' vectors, sixteen side by side.
   biases and listed: (width). scores: (profiles, width), minus infinity where `listed` is 0. */
void score_all(
    int lanes, ptrdiff_t profiles, const double *vectors, ptrdiff_t size, const float *tiles, const double *biases,
    const unsigned char *listed, ptrdiff_t width, double *scores);

/* Find the rows of the greatest of `width` scores, best first, lower rows first among equals; -1 where there are no more. */
void best_of(int lanes, const double *scores, ptrdiff_t width, int64_t *rows, ptrdiff_t room);

/* Find where some rows stand among `width` scores: 1 for the best, 0 for minus infinity. */
void rank_in(
    int lanes, const double *scores, ptrdiff_t width, const int64_t *rows, ptrdiff_t wanted, int64_t *places);

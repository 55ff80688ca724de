#include <stddef.h>

enum { TILE = 16 };

/* Score `width` resources for several profiles.

   vectors: (profiles, size). tiles: (width / TILE rounded up, size, TILE), the resources' vectors, sixteen side by side.
   biases and listed: (width). scores: (profiles, width), minus infinity where `listed` is 0. */
void score_all(
    ptrdiff_t profiles, const double *vectors, ptrdiff_t size, const float *tiles, const double *biases,
    const unsigned char *listed, ptrdiff_t width, double *scores);

#include <stddef.h>
#include <stdint.h>

enum { TILE = 16, ROUGH_TILE = 32 };

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

/* How many of `count` scores are above `bound`. */
ptrdiff_t count_above(int lanes, const double *scores, ptrdiff_t count, double bound);

/* Put numbers in order, the greatest first, equal ones as they stand; behind them is room for up to 7 more, all NAN. */
void order_of(int lanes, const double *numbers, ptrdiff_t count, int64_t *order);

/* Add a vector times its weight to sums, each component rounded to a whole number, ties to even; and keep the parts, if
   wanted. */
void add_rounded(int lanes, double weight, const float *numbers, ptrdiff_t size, double *parts, double *sums);

/* The product of two vectors of whole numbers. */
double product(int lanes, const double *one, const float *other, ptrdiff_t size);

enum { AT_ONCE = 6 };

/* A search, in each of up to AT_ONCE lists, for what may score more than a bound: by vectors of 16-bit numbers.

   A rough score is the product of both vectors, which must stay below 2**31, times the list's scale, and the bias. */
struct search {
    ptrdiff_t lists, pairs, width;
    ptrdiff_t first, end;    /* the rows that are looked at; `first` begins a tile */
    const int16_t *vectors;  /* (lists, pairs, 2) */
    const int16_t *tiles;    /* (width / ROUGH_TILE rounded up, pairs, ROUGH_TILE, 2) */
    const float *biases;     /* (width rounded up to ROUGH_TILE) */
    float scales[AT_ONCE];
    float bounds[AT_ONCE];
    int64_t *rows;           /* (lists, width) takes what is above the bound, in its order, */
    double *rough;           /* (lists, width) and its rough scores, */
    ptrdiff_t found[AT_ONCE];  /* behind what was found before */
};

void find_above(int lanes, struct search *search);

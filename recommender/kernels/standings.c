/* Where some resources stand in lists, without scoring most of a catalogue exactly.

   A rough score, from numbers of 16 bits, takes a quarter of the memory and of the instructions of an exact one, and is
   never further from it than a bound that is known. What is roughly below the lowest of the resources asked for is
   ahead of none of them and is passed over; the rest is compared roughly; what is in doubt is scored exactly. So the
   outcome is that of exact scores, to the last row. */

#include "standings.h"

#include <math.h>
#include <stdlib.h>

#include "lists.h"

/* More than the few operations of a rough score in float can lose, relatively; and those of a bound in double. */
static const double LOST_IN_FLOAT = 0x1p-21, SAFELY = 1.001;

struct list {
    const double *vector;
    double error;      /* how far a rough score is from the exact one, at most */
    ptrdiff_t count;   /* of what may be ahead: */
    int64_t *rows;     /* in their order */
    double *rough;
};

static double score_of(int lanes, const struct catalogue *of, const double *vector, int64_t row)
{
    return product(lanes, vector, of->outputs + row * of->size, of->size) + of->biases[row];
}

/* Write a profile in 16 bits; return how far its rough scores are from the exact ones, at most.

   Each component loses half a step at most, and a product no more than the product of the lengths. */
static double roughen(const struct catalogue *of, const double *vector, int16_t *rough, float *scale)
{
    double length = sqrt(product(2, vector, vector, of->size)), step = length > 0.0 ? length / ROUGHLY : 1.0;
    for (ptrdiff_t component = 0; component < of->size; component++)
        rough[component] = (int16_t)rint(vector[component] / step);
    *scale = (float)(step * of->step);
    double lost = sqrt(of->size) / 2.0 * step, lost_of_theirs = sqrt(of->size) / 2.0 * of->step;
    double both = (length + lost) * (of->longest + lost_of_theirs);
    return SAFELY * (both - length * of->longest + LOST_IN_FLOAT * (both + of->greatest));
}

/* Leave out what a list must not have. */
static void leave_out(struct list *in, const uint8_t *barred, ptrdiff_t number)
{
    ptrdiff_t left = 0;
    for (ptrdiff_t each = 0; each < in->count; each++) {
        in->rows[left] = in->rows[each];
        in->rough[left] = in->rough[each];
        left += !(barred[in->rows[each]] >> number & 1);
    }
    in->count = left;
}

/* The place of a resource in a list, by its exact score. */
static int64_t place_of(int lanes, const struct catalogue *of, const struct list *in, int64_t row, double own)
{
    ptrdiff_t ahead = count_above(lanes, in->rough, in->count, own + in->error);
    ptrdiff_t near = count_above(lanes, in->rough, in->count, nextafter(own - in->error, -INFINITY)) - ahead;
    for (ptrdiff_t each = 0; near > 1 && each < in->count; each++) {  /* it is near itself */
        if (fabs(in->rough[each] - own) > in->error || in->rows[each] == row)
            continue;
        double other = score_of(lanes, of, in->vector, in->rows[each]);
        ahead += other > own || (other == own && in->rows[each] < row);
    }
    return ahead + 1;
}

/* The first of a list: scored exactly is what may be among them, roughly. */
static void take_head(int lanes, const struct catalogue *of, struct list *in, int64_t *head, ptrdiff_t room)
{
    best_of(lanes, in->rough, in->count, head, room);
    double bound = room && head[room - 1] >= 0 ? in->rough[head[room - 1]] - 2.0 * in->error : -INFINITY;
    ptrdiff_t left = 0;
    for (ptrdiff_t each = 0; each < in->count; each++)
        if (in->rough[each] >= bound) {
            in->rough[left] = score_of(lanes, of, in->vector, in->rows[each]);
            in->rows[left++] = in->rows[each];
        }
    best_of(lanes, in->rough, left, head, room);
    for (ptrdiff_t each = 0; each < room; each++)
        head[each] = head[each] < 0 ? -1 : in->rows[head[each]];
}

/* Score some resources of a list exactly; return how low what may be ahead of them starts, roughly. */
static double score_some(
    int lanes, const struct catalogue *of, const struct list *in, const uint8_t *barred, ptrdiff_t number,
    const int64_t *rows, ptrdiff_t wanted, double *own, ptrdiff_t room)
{
    double least = INFINITY;
    for (ptrdiff_t each = 0; each < wanted; each++) {
        int out = barred[rows[each]] >> number & 1;
        own[each] = out ? -INFINITY : score_of(lanes, of, in->vector, rows[each]);
        room -= !out;
        if (!out && own[each] < least)
            least = own[each];
    }
    return room > 0 ? -INFINITY : least - in->error;  /* the head of the list may reach further down */
}

int find_standings(
    int lanes, const struct catalogue *of, ptrdiff_t lists, const double *vectors, const uint8_t *barred,
    const int64_t *rows, ptrdiff_t wanted, int64_t *places, int64_t *heads, ptrdiff_t room)
{
    struct search search = {.lists = lists, .pairs = of->pairs, .width = of->width, .tiles = of->tiles, .biases = of->rough_biases};
    struct list each[AT_ONCE];
    int16_t *rough_vectors = calloc(lists * of->pairs * 2 + 1, sizeof *rough_vectors);
    double *numbers = malloc((lists * (of->width + wanted) + 1) * sizeof *numbers);
    search.rows = malloc((lists * of->width + 1) * sizeof *search.rows);
    int failed = !rough_vectors || !numbers || !search.rows;
    if (failed)
        goto done;
    double *own = numbers + lists * of->width;
    search.vectors = rough_vectors;
    search.rough = numbers;
    for (ptrdiff_t list = 0; list < lists; list++) {
        each[list].vector = vectors + list * of->size;
        each[list].error = roughen(of, each[list].vector, rough_vectors + list * of->pairs * 2, &search.scales[list]);
        double bound = score_some(lanes, of, &each[list], barred, list, rows, wanted, own + list * wanted, room);
        search.bounds[list] = nextafterf((float)bound, -INFINITY);
    }
    find_above(lanes, &search);
    for (ptrdiff_t list = 0; list < lists; list++) {
        struct list *in = &each[list];
        in->count = search.found[list];
        in->rows = search.rows + list * of->width;
        in->rough = search.rough + list * of->width;
        leave_out(in, barred, list);
        for (ptrdiff_t place = 0; place < wanted; place++) {
            double score = own[list * wanted + place];
            places[list * wanted + place] = score > -INFINITY ? place_of(lanes, of, in, rows[place], score) : 0;
        }
        take_head(lanes, of, in, heads + list * room, room);
    }
done:
    free(rough_vectors);
    free(numbers);
    free(search.rows);
    return failed ? -1 : 0;
}

/* Where some resources stand in lists, without scoring most of a catalogue exactly.

   A rough score, from numbers of 16 bits, takes half the memory and a quarter of the instructions of an exact one, and
   is never further from it than a bound that is known. What is roughly below the lowest of the resources asked for is
   ahead of none of them and is passed over; the rest is compared roughly; what is in doubt is scored exactly. So the
   outcome is that of exact scores, to the last row. */

#include "standings.h"

#include <math.h>
#include <stdlib.h>

#include "lists.h"

/* More than the few operations of a rough score in float can lose, relatively; and those of a bound in double. */
static const double LOST_IN_FLOAT = 0x1p-21, SAFELY = 1.001;

/* How many rows an open search looks at first; then as many again as before, and what it found sets a bound each time. */
enum { FIRST_LOOK = 2 * ROUGH_TILE };

struct list {
    ptrdiff_t number;
    const double *vector;
    double error;      /* how far a rough score is from the exact one, at most */
    double floor;      /* how low what may be ahead of a row that is asked for starts, roughly */
    ptrdiff_t count;   /* of what was found */
    int64_t *rows;
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
    double length = 0.0;
    for (ptrdiff_t component = 0; component < of->size; component++)
        length += vector[component] * vector[component];
    length = sqrt(length);
    double step = length > 0.0 ? length / ROUGHLY : 1.0;
    for (ptrdiff_t component = 0; component < of->size; component++)
        rough[component] = (int16_t)rint(vector[component] / step);
    *scale = (float)(step * of->step);
    double lost = sqrt(of->size) / 2.0 * step, lost_of_theirs = sqrt(of->size) / 2.0 * of->step;
    double both = (length + lost) * (of->longest + lost_of_theirs);
    return SAFELY * (both - length * of->longest + LOST_IN_FLOAT * (both + of->greatest));
}

/* Score some resources of a list exactly, minus infinity for what is not in it; return whether all are. */
static int score_some(
    int lanes, const struct catalogue *of, struct list *in, const uint8_t *barred, const int64_t *rows, ptrdiff_t wanted,
    double *own)
{
    int all = 1;
    in->floor = INFINITY;
    for (ptrdiff_t each = 0; each < wanted; each++) {
        int out = barred[rows[each]] >> in->number & 1;
        all &= !out;
        own[each] = out ? -INFINITY : score_of(lanes, of, in->vector, rows[each]);
        if (!out && own[each] - in->error < in->floor)
            in->floor = own[each] - in->error;
    }
    return all;
}

/* Leave out what a list must not have. */
static void leave_out(struct list *in, const uint8_t *barred)
{
    ptrdiff_t left = 0;
    for (ptrdiff_t each = 0; each < in->count; each++) {
        in->rows[left] = in->rows[each];
        in->rough[left] = in->rough[each];
        left += !(barred[in->rows[each]] >> in->number & 1);
    }
    in->count = left;
}

/* From where on, roughly, something found may be among the first of a list. */
static double bound_of(int lanes, const struct list *in, int64_t *head, ptrdiff_t room)
{
    best_of(lanes, in->rough, in->count, head, room);
    return room && head[room - 1] >= 0 ? in->rough[head[room - 1]] - 2.0 * in->error : -INFINITY;
}

/* Leave out what can neither be among the first of a list nor ahead of a row that is asked for; return the bound. */
static float raise_bound(int lanes, struct list *in, int64_t *head, ptrdiff_t room)
{
    double bound = fmin(bound_of(lanes, in, head, room), in->floor);
    ptrdiff_t left = 0;
    for (ptrdiff_t each = 0; each < in->count; each++) {
        in->rows[left] = in->rows[each];
        in->rough[left] = in->rough[each];
        left += in->rough[each] >= bound;
    }
    in->count = left;
    return nextafterf((float)bound, -INFINITY);
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
    double bound = bound_of(lanes, in, head, room);
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

/* Find what may be ahead of the rows asked for or, `open`, also what may be among the first: with bounds that rise. */
static void look_through(
    int lanes, struct search *search, struct list *in, const uint8_t *barred, int open, int64_t *heads, ptrdiff_t room)
{
    for (ptrdiff_t end = open ? FIRST_LOOK : search->width; search->first < search->width; search->first = end, end *= 2) {
        search->end = end < search->width ? end : search->width;
        find_above(lanes, search);
        for (ptrdiff_t list = 0; list < search->lists; list++) {
            in[list].count = search->found[list];
            leave_out(&in[list], barred);
            if (open)
                search->bounds[list] = raise_bound(lanes, &in[list], heads + list * room, room);
            search->found[list] = in[list].count;
        }
    }
}

int find_standings(
    int lanes, const struct catalogue *of, ptrdiff_t lists, const double *vectors, const uint8_t *barred,
    const int64_t *rows, ptrdiff_t wanted, int64_t *places, int64_t *heads, ptrdiff_t room)
{
    int16_t *rough_vectors = calloc(lists * of->pairs * 2 + 1, sizeof *rough_vectors);
    double *rough = malloc((lists * of->width + 1) * sizeof *rough), *own = malloc((lists * wanted + 1) * sizeof *own);
    int64_t *found = malloc((lists * of->width + 1) * sizeof *found);
    struct search search = {
        .lists = lists, .pairs = of->pairs, .width = of->width, .vectors = rough_vectors, .tiles = of->tiles,
        .biases = of->rough_biases, .rows = found, .rough = rough};
    struct list in[AT_ONCE];
    int failed = !rough_vectors || !rough || !own || !found, open = 0;
    for (ptrdiff_t list = 0; list < (failed ? 0 : lists); list++) {
        in[list] = (struct list){
            .number = list, .vector = vectors + list * of->size, .rows = found + list * of->width, .rough = rough + list * of->width};
        in[list].error = roughen(of, in[list].vector, rough_vectors + list * of->pairs * 2, &search.scales[list]);
        int closed = score_some(lanes, of, &in[list], barred, rows, wanted, own + list * wanted) && wanted >= room;
        search.bounds[list] = closed ? nextafterf((float)in[list].floor, -INFINITY) : -INFINITY;
        open |= !closed;
    }
    if (!failed)
        look_through(lanes, &search, in, barred, open, heads, room);
    for (ptrdiff_t list = 0; list < (failed ? 0 : lists); list++) {
        for (ptrdiff_t place = list * wanted; place < (list + 1) * wanted; place++)
            places[place] = own[place] > -INFINITY ? place_of(lanes, of, &in[list], rows[place - list * wanted], own[place]) : 0;
        take_head(lanes, of, &in[list], heads + list * room, room);
    }
    free(rough_vectors);
    free(rough);
    free(own);
    free(found);
    return failed ? -1 : 0;
}

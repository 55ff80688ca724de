/* The loops over all resources with vectors of LANES doubles; lists.c includes this once for each width. */

#define PASTED(name, lanes) name##_##lanes
#define NAMED(name, lanes) PASTED(name, lanes)
#define OWN(name) NAMED(name, LANES)
#define doubles OWN(doubles)
#define wholes OWN(wholes)
#define score_few OWN(score_few)
#define keep_above OWN(keep_above)
#define floats OWN(floats)
#define pairwise OWN(pairwise)
#define find_few OWN(find_few)

typedef double doubles __attribute__((vector_size(LANES * sizeof(double))));
typedef int64_t wholes __attribute__((vector_size(LANES * sizeof(int64_t))));
typedef float floats __attribute__((vector_size(2 * LANES * sizeof(float))));
typedef int32_t pairwise __attribute__((vector_size(2 * LANES * sizeof(int32_t))));

/* Called with a constant number of profiles, so that their sums stay in registers. */
FOR_THESE static inline __attribute__((always_inline)) void score_few(
    const int profiles, const double *vectors, ptrdiff_t size, const float *tiles, const double *biases,
    const unsigned char *listed, ptrdiff_t width, double *scores)
{
    for (ptrdiff_t first = 0; first < width; first += 2 * LANES) {
        const float *from = tiles + first / TILE * TILE * size + first % TILE;
        ptrdiff_t count = width - first < 2 * LANES ? width - first : 2 * LANES;
        doubles left[AT_ONCE], right[AT_ONCE];
        double sums[2 * LANES];
        for (int profile = 0; profile < profiles; profile++)
            left[profile] = right[profile] = (doubles){0};
        for (ptrdiff_t component = 0; component < size; component++, from += TILE) {
            doubles one, other;  /* lane by lane: gcc 12 takes three times as many instructions for __builtin_convertvector */
            for (int lane = 0; lane < LANES; lane++)
                one[lane] = from[lane];
            for (int lane = 0; lane < LANES; lane++)
                other[lane] = from[LANES + lane];
            for (int profile = 0; profile < profiles; profile++) {
                double value = vectors[profile * size + component];
                left[profile] += value * one;
                right[profile] += value * other;
            }
        }
        for (int profile = 0; profile < profiles; profile++) {
            memcpy(sums, &left[profile], sizeof left[profile]);
            memcpy(sums + LANES, &right[profile], sizeof right[profile]);
            for (ptrdiff_t place = 0; place < count; place++)
                scores[profile * width + first + place] =
                    listed[first + place] ? sums[place] + biases[first + place] : -INFINITY;
        }
    }
}

FOR_THESE static void OWN(score_all)(
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

/* How many of `count` scores are above `bound`. */
FOR_THESE static ptrdiff_t OWN(count_above)(const double *scores, ptrdiff_t count, double bound)
{
    wholes above = {0};
    ptrdiff_t place = 0, total = 0;
    for (; place + LANES <= count; place += LANES) {
        doubles some;
        memcpy(&some, scores + place, sizeof some);
        above -= some > bound;
    }
    for (int lane = 0; lane < LANES; lane++)
        total += above[lane];
    for (; place < count; place++)
        total += scores[place] > bound;
    return total;
}

FOR_THESE static void OWN(best_of)(const double *scores, ptrdiff_t width, int64_t *rows, ptrdiff_t room)
{
    ptrdiff_t kept = 0;
    double least = -INFINITY;  /* what is not above it no longer gets in */
    for (ptrdiff_t first = 0; first < (room ? width : 0); first += PICKED_FROM) {
        ptrdiff_t end = width - first < PICKED_FROM ? width : first + PICKED_FROM;
        if (!OWN(count_above)(scores + first, end - first, least))
            continue;
        for (ptrdiff_t row = first; row < end; row++) {
            double own = scores[row];
            if (own <= least)
                continue;
            ptrdiff_t place = kept < room ? kept : room - 1;
            kept = place + 1;
            for (; place > 0 && scores[rows[place - 1]] < own; place--)
                rows[place] = rows[place - 1];
            rows[place] = row;
            if (kept == room)
                least = scores[rows[room - 1]];
        }
    }
    for (; kept < room; kept++)
        rows[kept] = -1;
}

/* Copy those of `count` scores that are above `bound`, in their order; return how many there are. */
FOR_THESE static ptrdiff_t keep_above(const double *scores, ptrdiff_t count, double bound, double *kept)
{
    ptrdiff_t so_far = 0;
    for (ptrdiff_t first = 0; first < count; first += PICKED_FROM) {
        ptrdiff_t end = count - first < PICKED_FROM ? count : first + PICKED_FROM;
        if (!OWN(count_above)(scores + first, end - first, bound))
            continue;
        for (ptrdiff_t place = first; place < end; place++) {  /* without a branch: which are above is not to be guessed */
            kept[so_far] = scores[place];
            so_far += scores[place] > bound;
        }
    }
    return so_far;
}

FOR_THESE static void OWN(rank_in)(
    const double *scores, ptrdiff_t width, const int64_t *rows, ptrdiff_t wanted, int64_t *places)
{
    double least = INFINITY;  /* of those in the list: what is below it is ahead of none */
    for (ptrdiff_t each = 0; each < wanted; each++) {
        double own = scores[rows[each]];
        places[each] = own > -INFINITY;
        if (own > -INFINITY && own < least)
            least = own;
    }
    double bound = nextafter(least, -INFINITY), kept[COUNTED_IN];
    for (ptrdiff_t first = 0; first < width; first += COUNTED_IN) {
        ptrdiff_t count = width - first < COUNTED_IN ? width - first : COUNTED_IN;
        ptrdiff_t ahead = keep_above(scores + first, count, bound, kept);
        for (ptrdiff_t each = 0; each < (ahead ? wanted : 0); each++) {
            if (!places[each])
                continue;
            /* Among equals the lower row comes first: what stands before it is ahead when it is not below it. */
            double own = scores[rows[each]], below = nextafter(own, -INFINITY);
            ptrdiff_t before = rows[each] - first;
            before = before <= 0 ? 0 : before >= count ? ahead : OWN(count_above)(scores + first, before, bound);
            places[each] += OWN(count_above)(kept, before, below);
            places[each] += OWN(count_above)(kept + before, ahead - before, own);
        }
    }
}

FOR_THESE static void OWN(order)(const double *numbers, ptrdiff_t count, int64_t *order)
{
    for (ptrdiff_t first = 0; first < count; first += LANES) {
        doubles own;
        wholes ahead = {0}, place;
        memcpy(&own, numbers + first, sizeof own);
        for (int lane = 0; lane < LANES; lane++)
            place[lane] = first + lane;
        for (ptrdiff_t other = 0; other < count; other++)
            ahead -= (numbers[other] > own) | ((numbers[other] == own) & (place > other));
        for (int lane = 0; lane < LANES && first + lane < count; lane++)
            order[ahead[lane]] = first + lane;
    }
}

/* Not fused, although the processor could: what is rounded is the product in double. */
FOR_THESE __attribute__((optimize("fp-contract=off"))) static void OWN(add_rounded)(
    double weight, const float *numbers, ptrdiff_t size, double *parts, double *sums)
{
    ptrdiff_t place = 0;
    for (; place + LANES <= size; place += LANES) {
        doubles wide, sum;
        for (int lane = 0; lane < LANES; lane++)
            wide[lane] = numbers[place + lane];
        wide = weight * wide;
        wide = (wide + ROUNDING) - ROUNDING;
        memcpy(&sum, sums + place, sizeof sum);
        sum += wide;
        memcpy(sums + place, &sum, sizeof sum);
        if (parts)
            memcpy(parts + place, &wide, sizeof wide);
    }
    for (; place < size; place++) {
        double part = weight * numbers[place];
        part = (part + ROUNDING) - ROUNDING;
        sums[place] += part;
        if (parts)
            parts[place] = part;
    }
}

FOR_THESE static double OWN(product)(const double *one, const float *other, ptrdiff_t size)
{
    doubles sums = {0}, some, wide;
    ptrdiff_t place = 0;
    double total = 0.0;
    for (; place + LANES <= size; place += LANES) {
        memcpy(&some, one + place, sizeof some);
        for (int lane = 0; lane < LANES; lane++)
            wide[lane] = other[place + lane];
        sums += some * wide;
    }
    for (int lane = 0; lane < LANES; lane++)
        total += sums[lane];
    for (; place < size; place++)
        total += one[place] * other[place];
    return total;
}

/* Called with a constant number of lists, so that their sums stay in registers. */
FOR_THESE static inline __attribute__((always_inline)) void find_few(const int lists, struct search *in)
{
    for (ptrdiff_t first = in->first; first < in->end; first += 4 * LANES) {
        const int16_t *from = in->tiles + 2 * (first / ROUGH_TILE * ROUGH_TILE * in->pairs + first % ROUGH_TILE);
        pairwise sums[AT_ONCE][2];
        for (int list = 0; list < lists; list++)
            sums[list][0] = sums[list][1] = (pairwise){0};
        for (ptrdiff_t pair = 0; pair < in->pairs; pair++, from += 2 * ROUGH_TILE)
            for (int list = 0; list < lists; list++) {
                const int16_t *both = in->vectors + 2 * (list * in->pairs + pair);
                sums[list][0] = (pairwise)OWN(add_products)(sums[list][0], from, both);
                sums[list][1] = (pairwise)OWN(add_products)(sums[list][1], from + 4 * LANES, both);
            }
        for (int list = 0; list < lists; list++)
            for (int half = 0; half < 2; half++) {
                ptrdiff_t row = first + half * 2 * LANES, count = in->end - row;
                floats scores, biases;
                memcpy(&biases, in->biases + row, sizeof biases);
                scores = __builtin_convertvector(sums[list][half], floats) * in->scales[list] + biases;
                unsigned above = OWN(which_above)(scores, in->bounds[list]);
                if (count < 2 * LANES)
                    above &= count > 0 ? (1u << count) - 1 : 0;
                for (; above; above &= above - 1) {
                    int place = __builtin_ctz(above);
                    ptrdiff_t to = list * in->width + in->found[list]++;
                    in->rows[to] = row + place;
                    in->rough[to] = scores[place];
                }
            }
    }
}

FOR_THESE static void OWN(find_above)(struct search *search)
{
    switch (search->lists) {
    case 1: find_few(1, search); break;
    case 2: find_few(2, search); break;
    case 3: find_few(3, search); break;
    case 4: find_few(4, search); break;
    case 5: find_few(5, search); break;
    default: find_few(6, search); break;
    }
}

#undef PASTED
#undef NAMED
#undef OWN
#undef doubles
#undef wholes
#undef score_few
#undef keep_above
#undef floats
#undef pairwise
#undef find_few

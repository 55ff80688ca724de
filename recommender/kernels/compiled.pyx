# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The loops of a recommendation, compiled by Cython; what each does and what it takes, `plain` says."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport INFINITY
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

ctypedef long long number

# Added and taken away again, it leaves the nearest whole number, ties to even, as `rint` does, but several at a time:
# above it, doubles have no fractions. What is rounded is far below 2**51.
cdef double ROUNDING = 1.5 * 2.0**52


def weigh(
    const number[::1] events,
    const number[::1] signals,
    const double[::1] strengths,
    const number[::1] removed,
    const number[::1] windows,
    double share,
    double[:, ::1] weights,
):
    cdef Py_ssize_t profile, window, place, event
    cdef number line
    cdef double total, within
    for profile in range(removed.shape[0]):
        for window in range(windows.shape[0]):
            total, place = 0.0, 0
            for event in range(events.shape[0]):
                line = events[event]
                if signals[line] != removed[profile]:
                    if place == windows[window]:
                        break
                    total += strengths[line]
                    place += 1
            if place == 0:
                continue
            within, place = share / total, 0
            for event in range(events.shape[0]):
                line = events[event]
                if signals[line] != removed[profile]:
                    if place == windows[window]:
                        break
                    weights[profile, line] += strengths[line] * within
                    place += 1


def add_up(
    const double[:, ::1] weights,
    const number[::1] columns,
    const float[:, ::1] inputs,
    double[:, ::1] vectors,
    double[:, ::1] parts,
):
    cdef Py_ssize_t profile, line, component
    cdef double weight, part
    cdef number column
    for profile in range(weights.shape[0]):
        vectors[profile, :] = 0.0
        for line in range(weights.shape[1]):
            weight, column = weights[profile, line], columns[line]
            for component in range(inputs.shape[1]):
                part = (weight * inputs[column, component] + ROUNDING) - ROUNDING
                vectors[profile, component] += part
                if profile == 0:
                    parts[line, component] = part


def hide(const number[::1] rows, const number[::1] signals, const number[::1] removed, double[:, ::1] scores):
    cdef Py_ssize_t of_list, place
    for of_list in range(removed.shape[0]):
        for place in range(rows.shape[0]):
            if signals[place] != removed[of_list]:
                scores[of_list, rows[place]] = -INFINITY


def best(const double[:, ::1] scores, number[:, ::1] rows):
    cdef Py_ssize_t of_list
    for of_list in range(scores.shape[0]):
        best_of(&scores[of_list, 0], scores.shape[1], &rows[of_list, 0], rows.shape[1])


cdef void best_of(const double *scores, Py_ssize_t size, number *rows, Py_ssize_t room) noexcept:
    cdef Py_ssize_t row, place, kept = 0
    cdef double own
    for row in range(size if room else 0):
        own = scores[row]
        if own == -INFINITY or (kept == room and own <= scores[rows[room - 1]]):
            continue
        place = kept if kept < room else room - 1
        kept = place + 1 if place + 1 > kept else kept
        while place > 0 and scores[rows[place - 1]] < own:
            rows[place] = rows[place - 1]
            place -= 1
        rows[place] = row
    for place in range(kept, room):
        rows[place] = -1


def rank(const double[:, ::1] scores, const number[::1] rows, number[:, ::1] places):
    cdef Py_ssize_t of_list
    cdef Py_ssize_t *room = <Py_ssize_t *> malloc((2 * rows.shape[0] + 1) * sizeof(Py_ssize_t))
    if room == NULL:
        raise MemoryError
    for of_list in range(scores.shape[0] if rows.shape[0] else 0):
        rank_in(&scores[of_list, 0], scores.shape[1], &rows[0], rows.shape[0], &places[of_list, 0], room)
    free(room)


cdef void rank_in(
    const double *scores, Py_ssize_t size, const number *rows, Py_ssize_t wanted, number *places, Py_ssize_t *order
) noexcept:
    """Only what reaches the least of the rows is compared with them, by bisection."""
    cdef Py_ssize_t count = 0, place, row, low, high, middle, each, above = 0
    cdef double least
    cdef Py_ssize_t *beaten = order + wanted  # how many rows beat exactly so many of them
    for each in range(wanted):  # those in the list, from the last of them to the first
        places[each] = 0
        if scores[rows[each]] == -INFINITY:
            continue
        place = count
        while place > 0 and beats(scores, rows[order[place - 1]], rows[each]):
            order[place] = order[place - 1]
            place -= 1
        order[place] = each
        count += 1
    for place in range(count + 1):
        beaten[place] = 0
    least = scores[rows[order[0]]] if count else INFINITY
    for row in range(size if count else 0):
        if scores[row] >= least:
            low, high = 0, count
            while low < high:
                middle = (low + high) // 2
                if beats(scores, row, rows[order[middle]]):
                    low = middle + 1
                else:
                    high = middle
            beaten[low] += 1
    for place in range(count - 1, -1, -1):
        above += beaten[place + 1]
        places[order[place]] = above + 1


cdef inline bint beats(const double *scores, Py_ssize_t row, Py_ssize_t other) noexcept:
    return scores[row] > scores[other] or (scores[row] == scores[other] and row < other)


def line_up(
    const double[:, ::1] values,
    const number[:, ::1] order,
    const number[::1] groups,
    const number[::1] lines,
    const number[:, ::1] numbers,
    const number[::1] others,
    const number[::1] ends,
    number[:, ::1] codes,
    number[:, ::1] speaking,
    double[:, ::1] sums,
    double[::1] rest,
):
    cdef Py_ssize_t item, place, told, spoken, room = codes.shape[1] // 3, width = order.shape[1]
    cdef number line
    cdef double value
    for item in range(order.shape[0]):
        codes[item, :], speaking[item, :], sums[item, :], rest[item] = 0, -1, 0.0, 0.0
        told, spoken = 0, 0
        for place in range(width):
            line = order[item, place]
            value = values[item, line]
            sums[item, groups[line]] += value
            if value == 0.0:
                continue
            if value > 0.0 and spoken < speaking.shape[1]:
                speaking[item, spoken] = line
                spoken += 1
            if told + 1 >= room:
                rest[item] += value
            if told < room:
                codes[item, 3 * told], codes[item, 3 * told + 1] = lines[line + 1], numbers[item, line]
                codes[item, 3 * told + 2] = ends[0]
            told += 1
        if told > room:
            codes[item, 3 * room - 3], codes[item, 3 * room - 2] = lines[0], others[item]
            told = room
        if told:
            codes[item, 3 * told - 1] = ends[1]


def weave(list texts, const number[::1] codes, bytes numbers):
    cdef const char *begun = PyBytes_AS_STRING(numbers) + 1  # behind the bracket
    cdef const char *end = PyBytes_AS_STRING(numbers) + PyBytes_GET_SIZE(numbers) - 1
    cdef const char *stop
    cdef char *to
    cdef bytes text, written
    cdef Py_ssize_t place, count = 1, size = 0
    cdef const char *at = begun
    while at < end:
        count += at[0] == b","
        at += 1
    cdef Py_ssize_t *starts = <Py_ssize_t *> malloc((count + 1) * sizeof(Py_ssize_t))
    if starts == NULL:
        raise MemoryError
    starts[0], count = 0, 1
    for place in range(end - begun):
        if begun[place] == b",":
            starts[count] = place + 1
            count += 1
    starts[count] = end - begun + 1
    try:
        for place in range(codes.shape[0]):
            if codes[place] >= 0:
                text = texts[codes[place]]
                size += PyBytes_GET_SIZE(text)
            else:
                size += starts[-codes[place]] - starts[~codes[place]] - 1
        written = PyBytes_FromStringAndSize(NULL, size)
        to = PyBytes_AS_STRING(written)
        for place in range(codes.shape[0]):
            if codes[place] >= 0:
                text = texts[codes[place]]
                size = PyBytes_GET_SIZE(text)
                memcpy(to, PyBytes_AS_STRING(text), size)
            else:
                size = starts[-codes[place]] - starts[~codes[place]] - 1
                memcpy(to, begun + starts[~codes[place]], size)
            to += size
    finally:
        free(starts)
    return written

# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The loops of a recommendation, compiled by Cython; what each does and what it takes, `plain` says."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport INFINITY, rint
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcpy

ctypedef long long number


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
                part = rint(weight * inputs[column, component])
                vectors[profile, component] += part
                if profile == 0:
                    parts[line, component] = part


def hide(const number[::1] rows, const number[::1] signals, const number[::1] removed, double[:, ::1] scores):
    cdef Py_ssize_t of_list, place
    for of_list in range(removed.shape[0]):
        for place in range(rows.shape[0]):
            if signals[place] != removed[of_list]:
                scores[of_list, rows[place]] = -INFINITY


def best(const double[::1] scores, number[::1] rows):
    cdef Py_ssize_t row, place, kept = 0, room = rows.shape[0]
    cdef double own
    for row in range(scores.shape[0] if room else 0):
        own = scores[row]
        if own == -INFINITY or (kept == room and own <= scores[rows[room - 1]]):
            continue
        place = kept if kept < room else room - 1
        kept = place + 1 if place + 1 > kept else kept
        while place > 0 and scores[rows[place - 1]] < own:
            rows[place] = rows[place - 1]
            place -= 1
        rows[place] = row
    return kept


def rank(const double[::1] scores, const number[::1] rows, number[::1] places):
    """Only what reaches the least of the rows is compared with them, by bisection."""
    cdef Py_ssize_t count = 0, place, row, low, high, middle, each, above = 0
    cdef double own, least
    cdef Py_ssize_t *order = <Py_ssize_t *> malloc((2 * rows.shape[0] + 1) * sizeof(Py_ssize_t))
    if order == NULL:
        raise MemoryError
    cdef Py_ssize_t *beaten = order + rows.shape[0]  # how many rows beat exactly so many of them
    for each in range(rows.shape[0]):  # those in the list, from the last of them to the first
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
    for row in range(scores.shape[0] if count else 0):
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
    free(order)


cdef inline bint beats(const double[::1] scores, Py_ssize_t row, Py_ssize_t other) noexcept:
    return scores[row] > scores[other] or (scores[row] == scores[other] and row < other)


def interleave(list texts, const number[:, ::1] order, const number[::1] counts, bytes numbers):
    cdef Py_ssize_t row, place, size, width = order.shape[1]
    cdef const char *at = PyBytes_AS_STRING(numbers) + 1  # behind the bracket
    cdef const char *end = PyBytes_AS_STRING(numbers) + PyBytes_GET_SIZE(numbers) - 1
    cdef const char *begun
    cdef const char *stop
    cdef char *to
    cdef bytes text, written
    cdef list rows = []
    for row in range(order.shape[0]):
        size, begun = 0, at
        for place in range(width):
            stop = <const char *> memchr(at, b",", end - at)
            if stop == NULL:
                stop = end
            if place < counts[row]:
                text = texts[order[row, place]]
                size += PyBytes_GET_SIZE(text) + (stop - at)
            at = stop + 1
        written = PyBytes_FromStringAndSize(NULL, size)
        to, at = PyBytes_AS_STRING(written), begun
        for place in range(width):
            stop = <const char *> memchr(at, b",", end - at)
            if stop == NULL:
                stop = end
            if place < counts[row]:
                text = texts[order[row, place]]
                memcpy(to, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
                to += PyBytes_GET_SIZE(text)
                memcpy(to, at, stop - at)
                to += stop - at
            at = stop + 1
        rows.append(written)
    return rows

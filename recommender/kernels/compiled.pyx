# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The loops of a recommendation, compiled by Cython; what each does and what it takes, `plain` says."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE, _PyBytes_Resize
from cpython.list cimport PyList_GET_ITEM
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF
from libc.math cimport INFINITY, NAN, fabs, rint
from libc.stdint cimport int16_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcpy

from numpy import absolute, ascontiguousarray, einsum, empty, float32, float64, full, int16, int64, sqrt, uint8, zeros
from numpy import rint as rounded
from orjson import OPT_SERIALIZE_NUMPY, dumps

from recommender.kernels import plain

ctypedef long long number

cdef number CONTEXT = plain.CONTEXT, FELT = plain.FELT, RATED = plain.RATED, SHOWN = plain.SHOWN

cdef extern from "Python.h":
    PyObject *new_bytes "PyBytes_FromStringAndSize" (const char *text, Py_ssize_t size) except NULL
    char *inside "PyBytes_AS_STRING" (PyObject *text)

cdef extern from "lists.h":
    int TILE, ROUGH_TILE
    int widest_lanes() noexcept
    void score_all(
        int lanes, Py_ssize_t profiles, const double *vectors, Py_ssize_t size, const float *tiles, const double *biases,
        const unsigned char *listed, Py_ssize_t width, double *scores,
    ) noexcept
    void best_of(int lanes, const double *scores, Py_ssize_t width, int64_t *rows, Py_ssize_t room) noexcept
    void rank_in(
        int lanes, const double *scores, Py_ssize_t width, const int64_t *rows, Py_ssize_t wanted, int64_t *places
    ) noexcept

    void add_rounded(
        int lanes, double weight, const float *numbers, Py_ssize_t size, double *parts, double *sums
    ) noexcept
    void order_of(int lanes, const double *numbers, Py_ssize_t count, int64_t *order) noexcept
    int AT_ONCE

cdef extern from "standings.h":
    double ROUGHLY
    struct catalogue:
        Py_ssize_t width, size, pairs
        const float *outputs
        const double *biases
        const int16_t *tiles
        const float *rough_biases
        double step, longest, greatest
    int find_standings(
        int lanes, const catalogue *of, Py_ssize_t lists, const double *vectors, const uint8_t *barred,
        const int64_t *rows, Py_ssize_t wanted, int64_t *places, int64_t *heads, Py_ssize_t room,
    ) noexcept

cdef int lanes_taken = widest_lanes()


def take_lanes(int lanes):
    """Score and pick with so many doubles at once, 2, 4 or 8, or as many as this processor can if those are fewer."""
    global lanes_taken
    lanes_taken = min(lanes, widest_lanes())
    return lanes_taken


cdef enum:
    FIRST_ROOM = 1 << 16  # bytes for a page: what most fit into
    MOST_LANES = 8


cdef uint64_t mix(uint64_t x) noexcept:
    x += 0x9E3779B97F4A7C15ULL
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL
    return x ^ (x >> 31)


def mixed(list rows, dict signals, dict resources, dict topics):
    cdef uint64_t about
    cdef uint32_t value
    cdef float told
    cdef int64_t signal, resource, topic
    cdef tuple row
    cdef list of_rows = []
    for each in rows:
        row = <tuple> each if isinstance(each, tuple) else tuple(each)
        signal = signals.get(row[0], -1)
        resource = -1 if row[1] is None else resources.get(row[1], -1)
        topic = -1 if row[1] is not None else topics.get(row[2], -1)
        told = NAN if row[3] is None else row[3]
        memcpy(&value, &told, sizeof(value))
        about = <uint64_t> resource << 32 | <uint32_t> topic
        of_rows.append(mix(mix(about) ^ (<uint64_t> value << 8 | <uint64_t> signal)))
    return of_rows


def read(list rows, dict rules, dict resources, dict topics, number first_band, number bands, list context):
    cdef Py_ssize_t most = len(rows) + len(context), lines = 0, event = 0, place
    whole, strengths_read, starts_read = empty((6, most), int64), zeros(most), zeros(4, int64)
    cdef number[:, ::1] of_lines = whole
    cdef number[::1] starts = starts_read
    cdef double[::1] strengths = strengths_read
    cdef number *signals = &of_lines[0, 0] if most else NULL
    cdef number *columns = signals + most
    cdef number *groups = columns + most
    cdef number *events = groups + most
    cdef number *line_of = events + most
    cdef number *family_of = line_of + most
    cdef dict places = {}, group_of = {}, seen = {}, concerns = {}
    cdef list shown = [], disliked = []
    cdef set liked = set(), taken_back = set()
    cdef number signal, kind, column, family, line
    cdef double strength, least, value
    cdef tuple event_row, rule
    for row in rows:
        event_row = <tuple> row if isinstance(row, tuple) else tuple(row)
        rule = rules.get(event_row[0])
        if rule is None:
            continue
        signal, strength, kind, least = rule[0], rule[1], rule[2], rule[3]
        resource, topic, told = event_row[1], event_row[2], event_row[3]
        value = NAN if told is None else told
        if resource is not None:
            found = resources.get(resource)
            if found is None:
                continue
            if kind == SHOWN:
                shown.append(found)
            else:
                add_to(seen, signal, found)
            family = 0
        elif topic is not None:
            add_to(concerns, signal, topic)
            found = topics.get(topic)
            if found is None:
                continue
            family = 1
        elif 1 <= value <= bands:
            found, family = first_band + <number> value - 1, 2
        else:
            continue
        if kind == FELT and not 1 <= value <= bands:
            continue
        if kind == RATED:
            if not value >= least:
                if resource is not None:
                    taken_back.add(found)
                    if found not in liked:
                        disliked.append(found)
                continue
            if found in taken_back:
                continue
            liked.add(found)
        if strength <= 0.0:
            continue
        column = found
        key = (first_band + bands) * signal + column
        known = places.get(key)
        if known is None:
            line, lines = lines, lines + 1
            places[key] = line
            signals[line], columns[line], strengths[line] = signal, column, strength
            groups[line] = group_of.setdefault(signal, len(group_of))
        else:
            line = known
        line_of[event], family_of[event] = line, family
        starts[family + 1] += 1
        event += 1
    starts[2] += starts[1]
    starts[3] += starts[2]
    for family in range(3):
        line = starts[family]
        for place in range(event):
            if family_of[place] == family:
                events[line] = line_of[place]
                line += 1
    for place in range(len(context)):
        signals[lines + place], columns[lines + place] = CONTEXT, context[place]
        groups[lines + place] = group_of.setdefault(CONTEXT, len(group_of))
    place = lines + len(context)
    return (
        whole[0, :place], whole[1, :place], strengths_read[:place], whole[2, :place], list(group_of),
        whole[3, :event], starts_read, lines, seen, concerns, shown, disliked,
    )


cdef int add_to(dict lists, object name, object each) except -1:
    cdef list found = lists.get(name)
    if found is None:
        lists[name] = [each]
    else:
        found.append(each)
    return 0


def weigh(
    const number[::1] events,
    const number[::1] starts,
    const number[::1] signals,
    const double[::1] strengths,
    const number[::1] removed,
    const number[::1] windows,
    const double[::1] shares,
    double[:, ::1] weights,
):
    cdef Py_ssize_t profile, family, window, place, event
    cdef number line
    cdef double total, within
    for profile in range(removed.shape[0]):
        for family in range(shares.shape[0]):
            for window in range(windows.shape[0]):
                total, place = 0.0, 0
                for event in range(starts[family], starts[family + 1]):
                    line = events[event]
                    if signals[line] != removed[profile]:
                        if place == windows[window]:
                            break
                        total += strengths[line]
                        place += 1
                if place == 0:
                    continue
                within, place = shares[family] / total, 0
                for event in range(starts[family], starts[family + 1]):
                    line = events[event]
                    if signals[line] != removed[profile]:
                        if place == windows[window]:
                            break
                        weights[profile, line] += strengths[line] * within
                        place += 1


def add_up(
    const double[:, ::1] weights,
    const number[::1] columns,
    const unsigned char[::1] known,
    const float[:, ::1] inputs,
    double[:, ::1] vectors,
    double[:, ::1] parts,
):
    cdef Py_ssize_t profile, line
    cdef double weight
    cdef number column
    cdef bint heard
    cdef list personal = []
    for profile in range(weights.shape[0]):
        vectors[profile, :], heard = 0.0, False
        for line in range(weights.shape[1]):
            weight, column = weights[profile, line], columns[line]
            if weight == 0.0 and profile:
                continue
            heard |= weight > 0.0 and known[column]
            if inputs.shape[1]:
                add_rounded(
                    lanes_taken, weight, &inputs[column, 0], inputs.shape[1], NULL if profile else &parts[line, 0],
                    &vectors[profile, 0],
                )
        personal.append(heard)
    return personal


cdef class Catalogue:
    cdef catalogue of
    cdef const float[:, :, ::1] laid_out
    cdef const float[:, ::1] outputs
    cdef const double[::1] biases
    cdef const int16_t[:, :, :, ::1] tiles
    cdef const float[::1] rough_biases

    def __init__(self, outputs, biases):
        width, size = outputs.shape
        tiles, rough_tiles, pairs = -(-width // TILE), -(-width // ROUGH_TILE), -(-size // 2)
        exact, rough = zeros((tiles * TILE, size), float32), zeros((rough_tiles * ROUGH_TILE, 2 * pairs), int16)
        longest = sqrt(einsum("ij,ij->i", outputs, outputs, dtype=float64).max(initial=0.0))
        step = longest / ROUGHLY or 1.0
        exact[:width], rough[:width, :size] = outputs, rounded(outputs / float64(step))
        rough_biases = zeros(rough_tiles * ROUGH_TILE, float32)
        rough_biases[:width] = biases
        self.outputs, self.biases, self.rough_biases = outputs, biases, rough_biases
        self.laid_out = ascontiguousarray(exact.reshape(tiles, TILE, size).swapaxes(1, 2))
        self.tiles = ascontiguousarray(rough.reshape(rough_tiles, ROUGH_TILE, pairs, 2).swapaxes(1, 2))
        self.of.width, self.of.size, self.of.pairs = width, size, pairs
        self.of.step, self.of.longest, self.of.greatest = step, longest, absolute(biases).max(initial=0.0)
        self.of.outputs, self.of.biases = &self.outputs[0, 0], &self.biases[0]
        self.of.tiles, self.of.rough_biases = &self.tiles[0, 0, 0, 0], &self.rough_biases[0]

    def score(self, const double[:, ::1] vectors, const unsigned char[::1] listed, double[:, ::1] scores):
        if scores.shape[0] and scores.shape[1]:
            score_all(
                lanes_taken, vectors.shape[0], &vectors[0, 0], vectors.shape[1], &self.laid_out[0, 0, 0], &self.biases[0],
                &listed[0], scores.shape[1], &scores[0, 0],
            )

    def stand(
        self,
        const double[:, ::1] vectors,
        const unsigned char[::1] listed,
        dict hidden,
        const number[::1] removed,
        const number[::1] rows,
        number[:, ::1] places,
        number[:, ::1] heads,
    ):
        cdef Py_ssize_t first, lists
        cdef unsigned char[::1] barred = empty(self.of.width, uint8)
        for first in range(0, removed.shape[0], AT_ONCE):
            lists = min(removed.shape[0] - first, AT_ONCE)
            bar(listed, hidden, removed[first : first + lists], barred)
            if find_standings(
                lanes_taken, &self.of, lists, &vectors[first, 0], &barred[0], <const int64_t *> &rows[0],
                rows.shape[0], <int64_t *> &places[first, 0], <int64_t *> &heads[first, 0], heads.shape[1],
            ):
                raise MemoryError


cdef int bar(
    const unsigned char[::1] listed, dict hidden, const number[::1] removed, unsigned char[::1] barred
) except -1:
    """Give each row a bit for every list that it is kept out of."""
    cdef Py_ssize_t row, of_list
    cdef number signal
    cdef unsigned char out
    cdef list rows
    for row in range(listed.shape[0]):
        barred[row] = 0 if listed[row] else 255
    for name, rows in hidden.items():
        signal, out = name, 0
        for of_list in range(removed.shape[0]):
            out |= (signal != removed[of_list]) << of_list
        for each in rows:
            barred[<number> each] |= out
    return 0


def hide(dict hidden, const number[::1] removed, double[:, ::1] scores):
    cdef Py_ssize_t of_list
    cdef number signal
    cdef list rows
    for name, rows in hidden.items():
        signal = name
        for row in rows:
            for of_list in range(removed.shape[0]):
                if signal != removed[of_list]:
                    scores[of_list, <number> row] = -INFINITY


def best(const double[:, ::1] scores, number[:, ::1] rows):
    cdef Py_ssize_t of_list
    for of_list in range(scores.shape[0]):
        best_of(lanes_taken, &scores[of_list, 0], scores.shape[1], <int64_t *> &rows[of_list, 0], rows.shape[1])


def rank(const double[:, ::1] scores, const number[::1] rows, number[:, ::1] places):
    cdef Py_ssize_t of_list
    for of_list in range(scores.shape[0] if rows.shape[0] else 0):
        rank_in(
            lanes_taken, &scores[of_list, 0], scores.shape[1], <const int64_t *> &rows[0], rows.shape[0],
            <int64_t *> &places[of_list, 0],
        )


def diversify(
    const double[::1] scores, const double[:, ::1] similarity, double strength, number[::1] taken, double[::1] added
):
    cdef Py_ssize_t step, place, pick, size = scores.shape[0]
    cdef double[::1] lowered = empty(size)
    cdef double low
    lowered[:] = scores
    for step in range(taken.shape[0]):
        pick = 0
        for place in range(1, size):
            if lowered[place] > lowered[pick]:
                pick = place
        taken[step], added[step] = pick, lowered[pick] - scores[pick]
        for place in range(size):
            low = scores[place] - rint(similarity[pick, place] * strength)
            if low < lowered[place]:
                lowered[place] = low
        lowered[pick] = -INFINITY


def line_up(
    const double[:, ::1] values,
    const number[::1] groups,
    double[:, ::1] told,
    number[:, ::1] order,
    number[:, ::1] speaking,
):
    cdef Py_ssize_t item, line, place, lines = values.shape[1], room = order.shape[1], most = speaking.shape[1]
    cdef Py_ssize_t count, spoken
    cdef double value
    cdef double[::1] sizes = full(lines + MOST_LANES, NAN)
    cdef number[::1] by_size = empty(lines + 1, int64)
    for item in range(values.shape[0]):
        for place in range(told.shape[1]):
            told[item, place] = 0.0
        for place in range(room):
            order[item, place] = -1
        for place in range(most):
            speaking[item, place] = -1
        count, spoken = 0, 0
        for line in range(lines):
            value = values[item, line]
            told[item, room + groups[line]] += value
            sizes[line] = fabs(value) if value else -INFINITY
            count += value != 0.0
        if count == 0:
            continue
        order_of(lanes_taken, &sizes[0], lines, <int64_t *> &by_size[0])
        for place in range(min(count, room)):
            order[item, place], told[item, place] = by_size[place], values[item, by_size[place]]
        if count > room > 0:
            order[item, room - 1] = lines
            for place in range(room, count):
                told[item, room - 1] += values[item, by_size[place]]
        for place in range(count):
            if spoken == most:
                break
            if values[item, by_size[place]] > 0.0:
                speaking[item, spoken] = by_size[place]
                spoken += 1


cdef enum Kind:
    SHARED, OWN, CHOSEN, NUMBER, SUMS, PLACES, LINES


cdef struct Column:
    Kind kind
    PyObject *texts
    PyObject *heads
    PyObject *rest
    const number *rows
    const number *groups
    const number *order
    const number *places
    Py_ssize_t size
    Py_ssize_t width
    Py_ssize_t first
    Py_ssize_t step


cdef struct Text:
    PyObject *bytes
    Py_ssize_t size
    Py_ssize_t room


cdef class Page:
    cdef Py_ssize_t pieces, size, room, counted
    cdef Column *columns
    cdef list held
    cdef list values

    def __cinit__(self, Py_ssize_t pieces):
        self.pieces, self.size, self.room, self.counted = pieces, 0, 0, 0
        self.columns, self.held, self.values = NULL, [], []

    def __dealloc__(self):
        free(self.columns)

    cdef Column *column(self, Kind kind) except NULL:
        cdef Column *columns
        if self.size == self.room:
            self.room = 2 * self.room + 32
            columns = <Column *> realloc(self.columns, self.room * sizeof(Column))
            if columns == NULL:
                raise MemoryError
            self.columns = columns
        self.size += 1
        self.columns[self.size - 1].kind = kind
        return &self.columns[self.size - 1]

    def all(self, bytes text not None):
        self.held.append(text)
        self.column(SHARED).texts = <PyObject *> text

    def each(self, list texts not None):
        self.held.append(texts)
        self.column(OWN).texts = <PyObject *> texts

    def choose(self, list texts not None, const number[::1] rows):
        cdef Column *column = self.column(CHOSEN)
        self.held.append((texts, rows.base))
        column.texts, column.rows = <PyObject *> texts, start_of(rows)

    def numbers(self, values):
        cdef Py_ssize_t first = self.counted
        if values.size:
            self.values.append(values.ravel())
            self.counted += values.size
        return first

    def number(self, Py_ssize_t first, Py_ssize_t step=1):
        cdef Column *column = self.column(NUMBER)
        column.first, column.step = first, step

    def sums(self, list heads not None, Py_ssize_t first, Py_ssize_t step):
        cdef Column *column = self.column(SUMS)
        self.held.append(heads)
        column.heads, column.size = <PyObject *> heads, len(heads)
        column.first, column.step = first, step

    def places(
        self,
        list heads not None,
        const number[:, ::1] places,
        bytes between not None,
        list texts not None,
        const number[:, ::1] rows,
    ):
        cdef Column *column = self.column(PLACES)
        self.held.append((heads, places.base, between, texts, rows.base))
        column.heads, column.size = <PyObject *> heads, len(heads)
        column.places, column.rows = first_of(places), first_of(rows)
        column.rest, column.texts = <PyObject *> between, <PyObject *> texts

    def lines(
        self,
        const number[:, ::1] order,
        list heads not None,
        const number[::1] groups,
        list texts not None,
        const number[::1] columns,
        bytes rest not None,
        Py_ssize_t first,
        Py_ssize_t step,
    ):
        cdef Column *column = self.column(LINES)
        self.held.append((order.base, heads, groups.base, texts, columns.base, rest))
        column.rest, column.size = <PyObject *> rest, columns.shape[0]
        column.heads, column.groups = <PyObject *> heads, start_of(groups)
        column.texts, column.rows = <PyObject *> texts, start_of(columns)
        column.order, column.width = first_of(order), order.shape[1]
        column.first, column.step = first, step

    def written(self):
        cdef bytes numbers = b",".join([dumps(values, option=OPT_SERIALIZE_NUMPY)[1:-1] for values in self.values])
        cdef const char **starts = <const char **> malloc((self.counted + 1) * sizeof(const char *))
        cdef Text to = Text(NULL, 0, FIRST_ROOM)
        cdef Py_ssize_t piece, place
        try:
            if starts == NULL:
                raise MemoryError
            to.bytes = new_bytes(NULL, to.room)
            find_numbers(numbers, self.counted, starts)
            put(&to, b"[", 1)
            for piece in range(self.pieces):
                if piece:
                    put(&to, b",", 1)
                for place in range(self.size):
                    write(&to, &self.columns[place], self.pieces, piece, starts)
            put(&to, b"]", 1)
            _PyBytes_Resize(&to.bytes, to.size)
            return <object> to.bytes
        finally:
            free(starts)
            Py_XDECREF(to.bytes)


cdef const number *start_of(const number[::1] numbers) noexcept:
    return &numbers[0] if numbers.shape[0] else NULL


cdef const number *first_of(const number[:, ::1] numbers) noexcept:
    return &numbers[0, 0] if numbers.shape[0] and numbers.shape[1] else NULL


cdef void find_numbers(bytes numbers, Py_ssize_t count, const char **starts) noexcept:
    """Where each number starts; behind the last, where one more would."""
    cdef const char *at = PyBytes_AS_STRING(numbers)
    cdef const char *end = at + PyBytes_GET_SIZE(numbers)
    cdef Py_ssize_t place
    for place in range(count):
        starts[place] = at
        at = <const char *> memchr(at, c",", end - at)
        at = end + 1 if at == NULL else at + 1
    starts[count] = at


cdef int write(Text *to, const Column *column, Py_ssize_t pieces, Py_ssize_t piece, const char **starts) except -1:
    """Write what a column has for one of the pieces."""
    if column.kind == SHARED:
        put_text(to, column.texts)
    elif column.kind == OWN:
        put_one(to, column.texts, piece)
    elif column.kind == CHOSEN:
        put_one(to, column.texts, column.rows[piece])
    elif column.kind == NUMBER:
        put_number(to, starts, column.first + piece * column.step)
    elif column.kind == SUMS:
        write_sums(to, column, column.first + piece * column.step, starts)
    elif column.kind == PLACES:
        write_places(to, column, pieces, piece)
    else:
        write_lines(to, column, piece, starts)
    return 0


cdef int write_sums(Text *to, const Column *column, Py_ssize_t first, const char **starts) except -1:
    cdef Py_ssize_t place
    for place in range(column.size):
        if place:
            put(to, b",", 1)
        put_one(to, column.heads, place)
        put_number(to, starts, first + place)
        put(to, b"}", 1)
    return 0


cdef int write_places(Text *to, const Column *column, Py_ssize_t pieces, Py_ssize_t piece) except -1:
    cdef Py_ssize_t place
    for place in range(column.size):
        if place:
            put(to, b",", 1)
        put_one(to, column.heads, place)
        if column.places[place * pieces + piece]:
            put_whole(to, column.places[place * pieces + piece])
        else:
            put(to, b"null", 4)
        put_text(to, column.rest)
        put_one(to, column.texts, column.rows[place * pieces + piece])
        put(to, b"}", 1)
    return 0


cdef int write_lines(Text *to, const Column *column, Py_ssize_t piece, const char **starts) except -1:
    cdef Py_ssize_t place
    cdef number line
    for place in range(column.width):
        line = column.order[piece * column.width + place]
        if line < 0:
            break
        if place:
            put(to, b",", 1)
        if line == column.size:
            put_text(to, column.rest)
        else:
            put_one(to, column.heads, column.groups[line])
            put_one(to, column.texts, column.rows[line])
        put_number(to, starts, column.first + piece * column.step + place)
        put(to, b"}", 1)
    return 0


cdef inline int put_one(Text *to, PyObject *texts, number which) except -1:
    """Write one of a list of texts, null for -1."""
    if which < 0:
        return put(to, b"null", 4)
    return put_text(to, PyList_GET_ITEM(<list> texts, which))


cdef inline int put_text(Text *to, PyObject *text) except -1:
    return put(to, PyBytes_AS_STRING(<bytes> text), PyBytes_GET_SIZE(<bytes> text))


cdef inline int put_number(Text *to, const char **starts, Py_ssize_t which) except -1:
    return put(to, starts[which], starts[which + 1] - starts[which] - 1)


cdef int put_whole(Text *to, number whole) except -1:
    cdef char digits[20]
    cdef Py_ssize_t place = 20
    while whole:
        place -= 1
        digits[place] = c"0" + whole % 10
        whole //= 10
    return put(to, &digits[place], 20 - place)


cdef inline int put(Text *to, const char *text, Py_ssize_t size) except -1:
    if to.size + size > to.room:
        to.room = 2 * (to.size + size)
        _PyBytes_Resize(&to.bytes, to.room)
    memcpy(inside(to.bytes) + to.size, text, size)
    to.size += size
    return 0

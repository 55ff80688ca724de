"""What is committed to: every value that training takes from a person, in one way, whoever else is there."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from recommender.fitting import Rows
from recommender.history import History
from recommender.profile import Features
from recommender.release import Recipe, TrainingConfig
from recommender.row_bytes import row_bytes
from tests.recommender.histories import catalogue, events, history, pseudonym, without

RESOURCES = 24


def rows(found: History) -> Rows:
    """The rows of a history."""
    features, topics = catalogue(RESOURCES)
    return Rows.of(found, Recipe(features, topics, TrainingConfig()))


def stretches(made: Rows) -> dict[int, bytes]:
    """Everybody's bytes by their seed."""
    found = []
    for content, edges in row_bytes(made.seeds, made.snapshots, made.interests):
        found += [content[begin:end] for begin, end in pairwise(edges)]
    return dict(zip(made.seeds.tolist(), found, strict=True))


def read_back(stretch: bytes, width: int) -> tuple[int, NDArray[np.float32]]:
    """A person's seed, and their interests, profiles and positives as the rows (1 + 2k, width), without the code that wrote them."""
    words = np.frombuffer(stretch, dtype="<u4").reshape(-1, 3)
    count, high, low = words[0].tolist()
    values = np.zeros((1 + 2 * count, width), dtype=np.float32)
    values[words[1:, 0], words[1:, 1]] = words[1:, 2].copy().view("<f4")
    return high << 32 | low, values


def expected(made: Rows, person: int, features: Features) -> NDArray[np.float32]:
    """The same from the matrices."""
    own = np.flatnonzero(made.snapshots.person == person)
    values = np.zeros((1 + 2 * len(own), len(features)), dtype=np.float32)
    values[0] = made.interests[[person]].toarray()[0]
    values[1::2] = made.snapshots.profiles[own].toarray()
    values[2::2, :RESOURCES] = made.snapshots.positives[own].toarray()
    return values


def test_everything_can_be_read_back() -> None:
    """A person's bytes hold their seed, each of their profiles and positives and their interests, value for value."""
    features, _ = catalogue(RESOURCES)
    made = rows(history(events(30, 20, RESOURCES), features))
    found = stretches(made)
    assert len(found) == 30
    for person, seed in enumerate(made.seeds.tolist()):
        read, values = read_back(found[seed], len(features))
        assert read == seed
        assert np.array_equal(values, expected(made, person, features))


def test_nobody_elses_coming_or_going_changes_them() -> None:
    """Without one person the others' bytes are the same."""
    features, _ = catalogue(RESOURCES)
    table = events(40, 20, RESOURCES)
    before, after = (stretches(rows(history(each, features))) for each in (table, without(table, 7)))
    del before[int.from_bytes(pseudonym(7)[:8])]
    assert before == after


def test_a_person_without_a_training_row_has_bytes_too() -> None:
    """Who did one thing gives no snapshot; their interest alone stands in their bytes."""
    features, _ = catalogue(RESOURCES)
    found = history(events(10, 20, RESOURCES), features)
    lone = found.where((found.person != 4) | (np.arange(len(found)) == found.starts[4]))
    read, values = read_back(stretches(rows(lone))[int(lone.seeds[4])], len(features))
    assert read == int(lone.seeds[4])
    assert values.shape == (1, len(features))
    assert values.sum() == 1


@pytest.mark.parametrize("people", [(1 << 15) - 1, 1 << 15, (1 << 15) + 1])
def test_so_many_people_that_they_are_laid_out_in_turns(people: int) -> None:
    """Whether the last of a turn, the first of the next, or alone in it: everybody's bytes are those they have alone."""
    features, _ = catalogue(RESOURCES)
    few = rows(history(events(3, 20, RESOURCES), features))
    picked = np.arange(people) % 3
    seeds = np.arange(people, dtype=np.uint64)
    places = [np.flatnonzero(few.snapshots.person == person) for person in range(3)]
    taken = np.concatenate([places[person] for person in picked])
    many = replace(
        few,
        seeds=seeds,
        interests=sparse.csr_array(few.interests[picked]),
        snapshots=replace(
            few.snapshots,
            profiles=few.snapshots.profiles[taken],
            positives=few.snapshots.positives[taken],
            person=np.repeat(np.arange(people), [len(places[person]) for person in picked]).astype(np.int32),
        ),
    )
    alone = [stretch[12:] for stretch in stretches(few).values()]
    found = stretches(many)
    assert len(found) == people
    assert all(stretch[12:] == alone[seed % 3] for seed, stretch in found.items())

"""Trees of commitments to training rows: what is in is shown to be in, what is not is shown not to be, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.errors import ProofError
from consent.log.merkle import EMPTY_ROOT, Tree
from recommender.commitments import Commitments, Leaf, Proof, tag_of
from recommender.fitting import Rows
from recommender.history import History
from recommender.profile import Features
from recommender.release import Recipe, TrainingConfig
from tests.recommender.histories import catalogue, events, history, pseudonym, without

KEY, OTHER_KEY = b"k" * 32, b"o" * 32


def rows(found: History, features: Features | None = None) -> Rows:
    """The rows of a history over a catalogue of 24."""
    own, topics = catalogue(24)
    return Rows.of(found, Recipe(features or own, topics, TrainingConfig()))


def tree(*tags: int) -> Commitments:
    """A tree with leaves at some numbers from 0 to 255."""
    content = np.zeros((len(tags), 64), dtype=np.uint8)
    content[:, :32] = np.array(tags, dtype=np.uint8)[:, np.newaxis]
    return Commitments.of(content)


def leaves(made: Commitments) -> list[Leaf]:
    """All leaves of a tree, in their order."""
    return [made.leaf(index) for index in range(len(made))]


@settings(max_examples=60)
@given(tags=st.sets(st.integers(0, 255), max_size=40), asked=st.integers(0, 255))
def test_presence_and_absence_are_proved(tags: set[int], asked: int) -> None:
    """Whatever is in the tree, a proof says rightly whether a tag is, and verifies against the root."""
    made = tree(*tags)
    proof = made.prove(bytes([asked]) * 32)
    assert proof.present == (asked in tags)
    proof.verify(made.root)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 8, 13, 64, 100, 255])
def test_the_tree_is_that_of_rfc_6962(size: int) -> None:
    """The root is the one that the log's tree has after the same leaves one by one, whatever the size."""
    made = tree(*range(size))
    log = Tree()
    for leaf in leaves(made):
        log.append(leaf.hash)
    assert made.root == log.root


@settings(max_examples=60)
@given(tags=st.sets(st.integers(0, 255), min_size=2, max_size=40), data=st.data())
def test_no_proof_shows_that_a_present_tag_is_absent(tags: set[int], data: st.DataObject) -> None:
    """Neighbours of a tag, whichever are taken from true proofs, never pass as a gap while the tag is in the tree."""
    made = tree(*tags)
    asked = data.draw(st.sampled_from(sorted(tags)))
    others = [made.prove(leaf.tag).places[0] for leaf in leaves(made) if leaf.tag != bytes([asked]) * 32]
    for count in (0, 1, 2):
        for start in range(len(others) - count + 1):
            forged = Proof(bytes([asked]) * 32, len(made), tuple(others[start : start + count]))
            with pytest.raises(ProofError):
                forged.verify(made.root)


def test_a_proof_is_of_one_tree() -> None:
    """Against another root, with another size, an altered leaf or a place left out, a proof raises ProofError."""
    made = tree(1, 5, 9, 200)
    absent, present = made.prove(bytes([7]) * 32), made.prove(bytes([5]) * 32)
    for proof in (absent, present):
        with pytest.raises(ProofError):
            proof.verify(tree(1, 5, 9).root)
        with pytest.raises(ProofError):
            replace(proof, size=5).verify(made.root)
    with pytest.raises(ProofError):
        replace(absent, places=absent.places[:1]).verify(made.root)
    altered = replace(present.places[0], leaf=replace(present.places[0].leaf, commitment=bytes([1]) * 32))
    with pytest.raises(ProofError):
        replace(present, places=(altered,)).verify(made.root)
    with pytest.raises(ProofError):
        replace(absent, size=0).verify(EMPTY_ROOT)


def test_an_empty_tree_holds_nobody() -> None:
    """Absence from a tree without leaves is shown by its root alone, and from no other tree."""
    proof = tree().prove(bytes(32))
    proof.verify(EMPTY_ROOT)
    with pytest.raises(ProofError):
        proof.verify(tree(1).root)


def test_one_persons_leaving_takes_their_leaf_and_no_other() -> None:
    """Without one person the other leaves are the same, and the tree shows that they are gone."""
    features, _ = catalogue(24)
    table = events(40, 20, 24)
    before = rows(history(table, features)).commitments(KEY)
    after = rows(history(without(table, 7), features)).commitments(KEY)
    tag = tag_of(int.from_bytes(pseudonym(7)[:8]), KEY)
    assert set(leaves(before)) - set(leaves(after)) == {leaf for leaf in leaves(before) if leaf.tag == tag}
    assert set(leaves(after)) <= set(leaves(before))
    assert before.prove(tag).present
    gone = after.prove(tag)
    assert not gone.present
    gone.verify(after.root)
    assert len({leaf.commitment for leaf in leaves(before)}) == 40


@pytest.mark.parametrize("what", ["signal", "resource", "order"])
def test_whatever_changes_a_persons_rows_changes_their_commitment(what: str) -> None:
    """One event less, about something else, or at another place in time gives that person another leaf, and only them."""
    features, _ = catalogue(24)
    found = history(events(20, 20, 24), features)
    place = int(found.starts[3]) + 2
    while found.resource[place] < 0:
        place += 1
    changed = {
        "signal": found.where(np.arange(len(found)) != place),
        "resource": replace(
            found,
            resource=np.where(np.arange(len(found)) == place, (found.resource + 1) % 24, found.resource),
        ),
        "order": replace(found, **_reversed(found, 3)),
    }[what]
    before, after = (rows(each).commitments(KEY) for each in (found, changed))
    tag = tag_of(int(found.seeds[3]), KEY)
    assert {leaf.tag for leaf in set(leaves(before)) ^ set(leaves(after))} == {tag}


def _reversed(found: History, person: int) -> dict[str, np.ndarray]:
    """The columns with one person's events backwards."""
    order = np.arange(len(found))
    order[found.person == person] = order[found.person == person][::-1]
    return {name: getattr(found, name)[order] for name in ("signal", "resource", "topic", "value")}


def test_leaves_tell_nothing_without_the_key() -> None:
    """Another key gives other tags and other commitments; neither the seed nor the pseudonym is in a leaf."""
    features, _ = catalogue(24)
    made = rows(history(events(10, 20, 24), features))
    ours, theirs = made.commitments(KEY), made.commitments(OTHER_KEY)
    assert not {leaf.tag for leaf in leaves(ours)} & {leaf.tag for leaf in leaves(theirs)}
    assert not {leaf.commitment for leaf in leaves(ours)} & {leaf.commitment for leaf in leaves(theirs)}
    content = b"".join(leaf.tag + leaf.commitment for leaf in leaves(ours))
    assert not any(pseudonym(number)[:8] in content for number in range(10))

import polars as pl
import pytest

from evaluation.consented import consented
from evaluation.errors import DatasetError
from tests.evaluation.catalogue import resource

FRAME = pl.DataFrame(
    {
        "pseudonym": [b"\x02\xff", b"\x01\x00"],
        "signal": ["views", "searches"],
        "resource_id": ["box-breathing", None],
        "topic": [None, "sleep"],
        "value": pl.Series([None, None], dtype=pl.Float64),
        "occurred_at": [2_000_001, 1_000_000],
    }
)


def test_takes_over_what_the_store_hands_over() -> None:
    """Pseudonyms become hexadecimal ids; times stay as they are; events about a topic alone are kept."""
    shelf = [resource("box-breathing", topics=("stress",)), resource("unused")]
    found = consented(FRAME, shelf, {b"\x02\xff": {"views", "saves"}})
    assert found.events.rows() == [
        ("0100", None, "searches", 1_000_000, None, "sleep"),
        ("02ff", "box-breathing", "views", 2_000_001, None, None),
    ]
    assert found.item_topics == {"box-breathing": ("stress",), "unused": ()}
    assert found.item_traits["kind"]["box-breathing"] == "exercise"
    assert found.catalogue == ("box-breathing", "unused")
    assert found.grants == {"02ff": frozenset({"views", "saves"})}
    assert found.personal


def test_what_was_granted_may_be_unknown() -> None:
    """Without grants and a catalogue nothing is made up."""
    found = consented(FRAME)
    assert (found.grants, found.resources, found.item_traits) == (None, (), {})


def test_nobody_granted_anything() -> None:
    """Without a granted event the message says what is the case."""
    with pytest.raises(DatasetError, match="nobody has granted a signal for `measure`"):
        consented(FRAME.clear())

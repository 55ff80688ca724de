"""What was shown, in few words: the same cells give the same text, which reads as exactly these cells again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import showing
from consent.purposes import Purpose
from consent.signals import SIGNALS

CELLS = [(signal.id, purpose) for signal in SIGNALS.values() for purpose in signal.purposes]


@given(st.sets(st.sampled_from(CELLS), min_size=1), st.randoms())
def test_any_cells_are_read_as_they_were_written(cells: set[tuple[str, Purpose]], dice: object) -> None:
    """In whatever order they are named, they give one text, and it gives back these cells and no other."""
    named = list(cells)
    dice.shuffle(named)  # type: ignore[attr-defined]  # Hypothesis' own random.Random
    text = showing.written(named)
    assert text == showing.written(cells)
    assert set(showing.read(text)) == cells
    assert len(showing.read(text)) == len(cells)


def test_the_whole_page_takes_few_bytes() -> None:
    """A line of the ledger grows by less than 200 bytes for a page with every cell there is."""
    assert len(showing.written(CELLS).encode()) < 200


@pytest.mark.parametrize(
    "text", ["", "views", "=personalise", "views=", "views=selling", "views=personalise;"]
)
def test_what_was_not_written_so_is_refused(text: str) -> None:
    """A text that names no cell is an error, and never no cells."""
    with pytest.raises(ValueError, match=r"."):
        showing.read(text)

"""What lists ask of people, whether they dwell on one topic, and whether answers say where to turn."""

from typing import Any

import numpy as np
import pytest

from evaluation import safety
from evaluation.errors import DatasetError
from recommender.exchange import shipped
from tests.conftest import Caller
from tests.evaluation.catalogue import resource

ATTENTION = 1 / np.log2([2, 3, 4])


CATALOGUE = (
    resource("calm", "gentle", ("sleep", "stress")),
    resource("walk", "moderate", ("stress",), "injury"),
    resource("face", "demanding", ("anxiety",), "trauma"),
    resource("plain"),
)


def exposed(lists: list[list[str]]) -> dict[str, dict[str, Any]]:
    """The rows of `exposure` by group."""
    return {row["group"]: row for row in safety.exposure(lists, CATALOGUE).iter_rows(named=True)}


class TestExposure:
    def test_by_hand(self) -> None:
        """Two lists of five places: shares of places, of attention by rank, and of lists."""
        found = exposed([["calm", "walk", "face"], ["walk", "plain"]])
        attention = ATTENTION.sum() + ATTENTION[:2].sum()
        assert found["moderate"]["place_share"] == pytest.approx(2 / 5)
        assert found["moderate"]["attention_share"] == pytest.approx(
            (ATTENTION[1] + ATTENTION[0]) / attention
        )
        assert found["moderate"]["list_share"] == 1
        assert found["moderate"]["catalogue_share"] == 0.25
        assert found["gentle"]["place_share"] == pytest.approx(2 / 5)
        assert found["some"]["place_share"] == pytest.approx(3 / 5)
        assert found["none"]["place_share"] == pytest.approx(2 / 5)
        both = found["demanding, with contraindications"]
        assert (both["place_share"], both["list_share"]) == (pytest.approx(1 / 5), 0.5)
        assert both["attention_share"] == pytest.approx(ATTENTION[2] / attention)

    @pytest.mark.parametrize("groups", [("gentle", "moderate", "demanding"), ("none", "some")])
    def test_groups_share_everything(self, groups: tuple[str, ...]) -> None:
        """The groups of a property share catalogue, places and attention without rest or overlap."""
        found = exposed([["face", "calm"], ["plain"], ["walk", "face", "plain"]])
        for column in ("catalogue_share", "place_share", "attention_share"):
            assert sum(found[group][column] for group in groups) == pytest.approx(1)

    def test_empty_lists(self) -> None:
        """An empty list has no places and counts among the lists; where all are empty, places have no shares."""
        assert exposed([["calm"], []])["gentle"]["list_share"] == 0.5
        nothing = exposed([[], []])["gentle"]
        assert (nothing["place_share"], nothing["attention_share"], nothing["list_share"]) == (None, None, 0)


class TestConcentration:
    def test_by_hand(self) -> None:
        """Of three, two are about stress; of two, one; of one without a topic, none."""
        found = safety.concentration([["calm", "walk", "face"], ["face", "plain"], ["plain"]], CATALOGUE)
        assert found is not None
        assert found.mean == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
        assert found.worst_decile == pytest.approx(2 / 3)

    def test_the_worst_tenth(self) -> None:
        """Of twenty-five lists, the three that dwell most are the worst tenth; empty lists count nowhere."""
        lists = [["walk"], ["walk", "calm"], ["walk", "plain"], *[["plain"]] * 22, [], []]
        found = safety.concentration(lists, CATALOGUE)
        assert found is not None
        assert found.lists == 25
        assert found.worst_decile == pytest.approx((1 + 1 + 0.5) / 3)
        assert found.mean == pytest.approx(2.5 / 25)

    def test_only_empty_lists(self) -> None:
        """Without any item, there is no concentration."""
        assert safety.concentration([[]], CATALOGUE) is None


class TestBadInput:
    def test_a_stranger_in_a_list(self) -> None:
        """What is not in the catalogue is named by list and place, and nothing is counted."""
        for measure in (safety.exposure, safety.concentration):
            with pytest.raises(
                DatasetError, match=r"lists, row 2, place 1: 'gone' is not in the catalogue of 4"
            ):
                measure([["calm"], ["gone"]], CATALOGUE)

    def test_nothing(self) -> None:
        """No lists, no answers, and an empty catalogue are refused."""
        with pytest.raises(DatasetError, match="lists: there are none"):
            safety.exposure([], CATALOGUE)
        with pytest.raises(DatasetError, match="answers: there are none"):
            safety.support_share([])
        with pytest.raises(DatasetError, match="catalogue: is empty"):
            safety.concentration([[]], [])

    def test_what_is_no_answer(self) -> None:
        """A body without items is named by its row."""
        with pytest.raises(DatasetError, match="answers, row 2: is no answer of the API"):
            safety.lists_of([{"items": []}, {"detail": "no"}])


BLOCK = {
    "title": "Talk",
    "helplines": [{"url": "https://example.org", "phone": None}],
    "emergency": {"text": "112"},
}


@pytest.mark.parametrize(
    "block",
    [
        None,
        {},
        BLOCK | {"helplines": []},
        BLOCK | {"helplines": [{"url": None, "phone": None}]},
        BLOCK | {"emergency": {}},
        BLOCK | {"title": ""},
    ],
)
def test_a_block_that_says_nothing_is_none(block: Any) -> None:
    """A block counts only with a title, somewhere to turn, and what to do in an emergency."""
    assert safety.support_share([{"support": BLOCK}, {"support": block}, {}]) == pytest.approx(1 / 3)


async def test_real_answers(client: Caller) -> None:
    """Every answer of the API has a support block; its lists hold nothing demanding that has contraindications."""
    answers = []
    for locale, region in (("en", "GB"), ("es", "ES"), ("en", None), ("fr", "FR")):
        context = {"locale": locale} | ({"region": region} if region else {})
        answers.append(await client.recommend("u1", context=context))
    assert safety.support_share(answers) == 1
    lists = safety.lists_of(answers)
    assert all(lists)
    catalogue = shipped()
    exposure = safety.exposure(lists, catalogue)
    assert exposure.filter(property="both")["place_share"].item() == 0
    found = safety.concentration(lists, catalogue)
    assert found is not None
    assert 0 < found.mean <= found.worst_decile <= 1

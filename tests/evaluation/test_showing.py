import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from evaluation import datasets, report, safety
from evaluation.comparison import Report, compare
from evaluation.config import ExperimentConfig
from evaluation.experiment import prepare, run
from evaluation.report.panels import panels
from evaluation.report.summary import further
from evaluation.result import Result
from evaluation.showing import CONCENTRATION, EXPOSURE, SERVICE, SUPPORT
from recommender.query import HistoryEvent
from tests.evaluation import generated
from tests.evaluation.catalogue import resource

CONFIG = ExperimentConfig.model_validate(
    {
        "dataset": {"kind": "given"},
        "split": {"kind": "per_user", "items_per_user": 2, "users_per_item": 2},
        "models": ["popularity", "ease"],
        "reference": "ease",
        "metrics": ["ndcg"],
        "bootstrap_samples": 200,
        "trials": 0,
    }
)
ITEMS = [f"item-{item:02}" for item in range(generated.ITEMS)]
SHELF = tuple(
    resource(
        item,
        "demanding" if place % 4 == 0 else "gentle",
        ("even" if place % 2 == 0 else "odd",),
        *(["trauma"] if place % 8 == 0 else []),
    )
    for place, item in enumerate(ITEMS)
)
BLOCK = {
    "title": "Talk",
    "helplines": [{"url": "https://example.org", "phone": None}],
    "emergency": {"text": "112"},
}


class Harbour:
    """A service that always answers with the same resources, and in Dutch forgets to say where to turn."""

    def __init__(self, listed: Sequence[str]) -> None:
        self.listed = listed
        self.asked: list[tuple[Sequence[HistoryEvent], Collection[str], str | None]] = []

    def __call__(
        self, history: Sequence[HistoryEvent], granted: Collection[str], *, limit: int, locale: str | None
    ) -> Mapping[str, Any]:
        self.asked.append((history, granted, locale))
        listed = self.listed[:limit]
        items = [{"rank": rank, "resource": {"id": item}} for rank, item in enumerate(listed, start=1)]
        return {"items": items, "support": None if locale == "nl" else BLOCK}


def world(**known: Any) -> datasets.Dataset:
    """The generated world with a catalogue, in which one resource is in Dutch."""
    dutch = SHELF[3].model_copy(update={"languages": ("nl",)})
    shelf = (*SHELF[:3], dutch, *SHELF[4:])
    told = {"resources": shelf, "item_topics": {each.id: each.topics for each in shelf}}
    return replace(datasets.Dataset("harbour", generated.events()), **{**told, **known})


@pytest.fixture(scope="module")
def harbour() -> Harbour:
    """A service that lists one demanding resource, which has contraindications, and one gentle one of another topic."""
    return Harbour(["item-00", "item-01"])


@pytest.fixture(scope="module")
def result(harbour: Harbour) -> Result:
    """What is shown in the generated world."""
    return run(CONFIG, given=world(answer=harbour))


def test_models_and_the_service_are_told_apart(result: Result) -> None:
    """Each model's lists and the service's answers have their rows, of the same figures as their lists alone give."""
    assert result.safety is not None
    assert result.safety.exposure.schema == pl.Schema(EXPOSURE)
    assert result.safety.concentration.schema == pl.Schema(CONCENTRATION)
    assert result.safety.exposure["lists"].unique(maintain_order=True).to_list() == [
        "popularity", "ease", SERVICE,
    ]  # fmt: skip
    served = result.safety.exposure.filter(lists=SERVICE)
    shares = dict(served.select("group", "place_share").rows())
    assert shares["demanding"] == shares["some"] == shares["demanding, with contraindications"] == 0.5
    assert served.filter(group="demanding")["low"].item() == pytest.approx(0.5)  # all answers are alike
    assert result.safety.concentration.filter(lists=SERVICE)["mean"].item() == 0.5


def test_a_model_s_lists_are_those_that_were_measured(result: Result) -> None:
    """Exposure and concentration are of the very lists of the test, which an equal run gives again; intervals hold them."""
    assert result.safety is not None
    prepared = prepare(CONFIG, world())
    listed = [[prepared.catalogue[item] for item in own] for own in result.outcomes["ease"].lists[0].items]
    expected = safety.exposure(listed, SHELF)
    found = result.safety.exposure.filter(lists="ease")
    for column in ("catalogue_share", "place_share", "attention_share", "list_share"):
        assert found[column].to_list() == pytest.approx(expected[column].to_list())
    assert (found["low"] <= found["place_share"]).all()
    assert (found["place_share"] <= found["high"]).all()
    dwelt, own = safety.concentration(listed, SHELF), result.safety.concentration.filter(lists="ease")
    assert dwelt is not None
    assert own["mean"].item() == pytest.approx(dwelt.mean)
    assert own["low"].item() < dwelt.mean < own["high"].item()
    assert own["people"].item() == len(result.people)


def test_who_is_asked_for(result: Result, harbour: Harbour) -> None:
    """The service is asked for each person measured by what is known of them, and for nobody in each language."""
    assert result.safety is not None
    assert result.safety.support.schema == pl.Schema(SUPPORT)
    assert result.safety.support.rows() == [
        ("people measured", len(result.people), len(result.people), 1.0),
        ("nobody known", 2, 1, 0.5),
    ]
    known = [(history, granted) for history, granted, _ in harbour.asked if history]
    assert len(known) == len(result.people)
    exam = prepare(CONFIG, world()).folds[0].exam
    asked = {tuple(sorted(event.resource_id or "" for event in history)) for history, _ in known}
    assert asked == {
        tuple(sorted(exam.known.events.filter(user=exam.known.users[person])["item"]))
        for person in exam.people
    }
    for history, granted in known:
        times = [event.occurred_at for event in history]
        assert times == sorted(times, reverse=True)
        assert {event.signal for event in history} <= set(granted)
    assert [locale for history, _, locale in harbour.asked if not history] == ["en", "nl"]


def test_only_what_was_granted_is_said_to_be(harbour: Harbour) -> None:
    """Where it is known what people granted, the service is told that, and not what others granted."""
    events = generated.events()
    grants = {user: frozenset(own) | {"check_ins"} for user, own in events.group_by("user").agg("signal").iter_rows()}  # fmt: skip
    asked = Harbour(harbour.listed)
    run(CONFIG, given=world(answer=asked, grants=grants))
    found = [granted for history, granted, _ in asked.asked if history]
    assert all("check_ins" in granted for granted in found)
    assert set(map(frozenset, found)) <= set(grants.values())


def test_is_told(result: Result, tmp_path: Path) -> None:
    """Sentences, panels, page and JSON tell of it, and two reports are compared by it."""
    said = " ".join(further(result))
    assert "1 do not say where to turn" in said
    assert "Demanding resources with contraindications have 50% of the places in the service's lists" in said
    names = [panel.name for panel in panels(result)]
    assert {"exposure", "concentration"} <= set(names)
    text = report.html(result)
    assert "somebody who shares nothing, one in each language: 1 of 2 say where to turn" in text
    assert "canary" not in text
    report.write(result, tmp_path)
    content = json.loads((tmp_path / "report.json").read_text("utf-8"))["safety"]
    assert {row["lists"] for row in content["exposure"]} == {"popularity", "ease", SERVICE}
    other = run(CONFIG, given=world(answer=Harbour(["item-01", "item-03"])))
    report.write(other, tmp_path / "other")
    found = compare(Report.read(tmp_path), Report.read(tmp_path / "other")).further
    row = found.filter(finding="exposure", of="service, intensity, demanding").to_dicts()[0]
    assert (row["a"], row["b"], row["verdict"]) == (0.5, 0.0, "lower")
    assert set(found["finding"]) >= {"exposure", "concentration", "support"}


def test_without_a_service_models_are_told_alone() -> None:
    """A catalogue alone tells of models' lists, and a note says what is missing; without a catalogue there is nothing to tell."""
    found = run(CONFIG, given=world()).safety
    assert found is not None
    assert found.support.is_empty()
    assert SERVICE not in set(found.exposure["lists"])
    assert "nothing is said of support blocks" in found.notes[0]
    assert run(CONFIG, given=replace(world(), resources=())).safety is None


def test_what_left_the_catalogue_is_left_out_and_counted() -> None:
    """A resource that has events and is no longer in the catalogue does not end the run; a note counts its places."""
    found = run(CONFIG, given=world(resources=SHELF[1:])).safety
    assert found is not None
    counted = [note for note in found.notes if "no longer in the catalogue" in note]
    assert counted
    assert counted[0].startswith("Popularity: of its places, ")

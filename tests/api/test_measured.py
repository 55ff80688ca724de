"""What people granted for `measure` is read through the gate, with what each of them granted; the service answers by that alone."""

import os
from pathlib import Path

from api import people
from api.measured import measured
from api.service import Service
from consent.changes import Request
from consent.ledger import Change, Choice
from consent.purposes import Purpose
from evaluation.config import ExperimentConfig
from evaluation.experiment import run
from evaluation.showing import SERVICE
from recommender.query import HistoryEvent
from tests.api import community
from tests.conftest import APP, NOTICE

SPLIT = {"kind": "per_user", "items_per_user": 2, "users_per_item": 1}


async def choose(service: Service, number: int, *changes: tuple[str, Purpose, Choice]) -> None:
    """Let somebody of the community choose."""
    user_hash = service.pseudonyms.user(APP, f"simulated-{number}")
    request = Request([Change(*change) for change in changes], NOTICE, "en", "simulated")
    async with service.database.write(APP) as connection:
        await people.change(service, connection, APP, user_hash, request)


async def test_grants_are_those_of_this_purpose(service: Service) -> None:
    """A signal granted and never used counts; one granted for another purpose does not; who withdraws is not there."""
    await community.settle_in(service, 8)
    await choose(service, 0, ("saves", Purpose.MEASURE, Choice.GIVEN))
    await choose(service, 1, ("saves", Purpose.PERSONALISE, Choice.GIVEN))
    await choose(service, 2, ("views", Purpose.MEASURE, Choice.WITHDRAWN))
    found = await measured(service, APP)
    assert found.grants is not None
    ids = [service.pseudonyms.user(APP, f"simulated-{number}").hex() for number in range(8)]
    assert found.grants[ids[0]] == {"views", "saves"}
    assert found.grants[ids[1]] == {"views"}
    assert set(found.grants) == set(found.events["user"]) == set(ids) - {ids[2]}
    assert found.resources


async def test_the_service_answers_by_what_may_be_measured(service: Service) -> None:
    """It says where to turn, and lists what its rules let through; of nobody it is told more than what they granted to measure."""
    await community.settle_in(service)
    await community.train(service)
    dataset = await measured(service, APP)
    assert dataset.answer is not None
    user = dataset.events["user"][0]
    own = dataset.events.filter(user=user).sort("at", descending=True)
    history = [HistoryEvent(*row) for row in own.select("signal", "item", "topic", "value", "at").iter_rows()]
    body = dataset.answer(history, {"views"}, limit=5, locale="es")
    assert body["strategy"] == "personalised"
    assert len(body["items"]) == 5
    assert body["support"]["title"]
    assert body["controls"] is None
    assert dataset.answer((), (), limit=5, locale=None)["strategy"] == "editorial"


async def test_an_evaluation_of_the_service_s_own_events(service: Service, tmp_path: Path) -> None:
    """It tells for whom by what was granted, and whether answers are safe; nothing of anybody is left on the disk."""
    await community.settle_in(service)
    for number in range(0, 48, 2):
        await choose(service, number, ("check_ins", Purpose.MEASURE, Choice.GIVEN))
    config = ExperimentConfig.model_validate(
        {"dataset": {"kind": "given"}, "models": ["popularity"], "split": SPLIT, "bootstrap_samples": 100, "slice_people": 5}
    )  # fmt: skip
    result = run(config, given=await measured(service, APP), cache=tmp_path / "cache")
    sizes = {row["slice"]: row["people"] for row in result.slices.filter(dimension="grants check_ins", metric="ndcg").to_dicts()}  # fmt: skip
    assert sizes == {"yes": 24, "no": 24}
    assert result.safety is not None
    assert result.safety.support["share"].to_list() == [1.0, 1.0]
    exposed = result.safety.exposure.filter(lists=SERVICE)
    assert exposed.filter(property="both")["place_share"].item() == 0
    assert exposed["place_share"].null_count() == 0
    assert "cache" not in os.listdir(tmp_path)  # noqa: PTH208  in an asynchronous test

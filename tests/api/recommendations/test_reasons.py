"""Why a list is as it is: explained to the last digit, and recomputed for whatever could be otherwise."""

from typing import Any

import pytest

from tests.api.recommendations.asking import LIVELY, check_sums, ids, lead_a_life, ranked
from tests.conftest import Caller


@pytest.mark.parametrize("explain", ["full", "short"])
@pytest.mark.parametrize(
    "more", [{}, {"diversity": 0.7}, {"context": {"topics": ["sleep", "grief"], "region": "GB"}}], ids=str
)
async def test_reasons_add_up_to_the_score(client: Caller, explain: str, more: dict[str, Any]) -> None:
    """Base, contributions and adjustments are the score, in full and in short, and each names its consent."""
    await lead_a_life(client)
    answer = await client.recommend("u1", limit=100, explain=explain, **more)
    assert answer["strategy"] == "personalised"
    assert answer["release"]
    assert check_sums(answer) > 0
    scores = [item["score"] for item in answer["items"]]
    assert more.get("diversity") or scores == sorted(scores, reverse=True)
    receipts = {
        each["signal"]: each["receipt_id"]
        for each in (await client.get("/v1/users/u1/consents")).json()["consents"]
        if each["purpose"] == "personalise" and each["receipt_id"]
    }
    for item in answer["items"]:
        for each in item["explanation"]["contributions"]:
            assert each["signal"] in {*receipts, "context", "other"}
            assert each["receipt_id"] == receipts.get(each["signal"])


@pytest.mark.parametrize("signals", [("views",), ("saves", "topics"), LIVELY], ids="+".join)
async def test_what_if_is_what_happens(client: Caller, signals: tuple[str, ...]) -> None:
    """The list of `whatif` is, to the last score, the list after really withdrawing those signals."""
    await lead_a_life(client)
    asked = {"user_id": "u1", "limit": 100, "without": list(signals)}
    answer = await client.post("/v1/recommendations:whatif", asked)
    assert answer.status_code == 200, answer.text
    now = await client.recommend("u1", limit=100)
    await client.consent("u1", *signals, state="withdrawn")
    then = await client.recommend("u1", limit=100)
    for name in ("strategy", "signals_used"):
        assert answer.json()[name] == then[name]
    assert ranked(answer.json()) == ranked(then)
    assert ranked(now) != ranked(then)


@pytest.mark.parametrize("diversity", [0.0, 0.5])
async def test_counterfactuals_are_recomputed(client: Caller, diversity: float) -> None:
    """The rank without a signal is the rank in the list without it, and what is named instead stands in the item's place there."""
    await lead_a_life(client)
    now = await client.recommend("u1", explain="full", diversity=diversity)
    assert now["signals_used"]
    for signal in now["signals_used"]:
        asked = {"user_id": "u1", "limit": 100, "without": [signal], "diversity": diversity}
        other = ids((await client.post("/v1/recommendations:whatif", asked)).json())
        for item in now["items"]:
            told = {each["without"]: each for each in item["explanation"]["counterfactuals"]}[signal]
            resource_id, place = item["resource"]["id"], item["rank"]
            if resource_id in other:
                assert told["rank"] == other.index(resource_id) + 1
            else:
                assert told["rank"] is None or told["rank"] > 100
            instead = told["instead"]["id"] if told["instead"] else resource_id
            assert instead == other[place - 1]

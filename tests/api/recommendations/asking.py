"""Asking for lists, and reading them."""

from typing import Any

import pytest

from tests.conftest import Caller, event

LIVELY = ("views", "saves", "ratings", "topics", "check_ins", "impressions")


async def lead_a_life(client: Caller, user_id: str = "u1") -> None:
    """Let somebody share six signals, and send what they did under each."""
    await client.consent(user_id, *LIVELY)
    sent = await client.events(
        event(user_id, "views", "sleep-wind-down"),
        event(user_id, "views", "box-breathing", occurred_at="2026-11-19T08:00:00Z"),
        event(user_id, "saves", "body-scan"),
        event(user_id, "ratings", "grounding-54321", value=5),
        event(user_id, "topics", topic="sleep"),
        event(user_id, "check_ins", value=2),
        event(user_id, "impressions", "worry-time"),
    )
    assert sent["accepted"] == 7, sent


def ids(answer: dict[str, Any]) -> list[str]:
    """The resources of an answer, in order."""
    return [item["resource"]["id"] for item in answer["items"]]


def ranked(answer: dict[str, Any]) -> list[tuple[str, float]]:
    """The resources of an answer with their scores."""
    return [(item["resource"]["id"], item["score"]) for item in answer["items"]]


def check_sums(answer: dict[str, Any]) -> int:
    """See that every item's reasons add up to its score; returns how many reasons there were."""
    reasons = 0
    for item in answer["items"]:
        told = item["explanation"]
        parts = [told["base"], *(each["value"] for each in told["contributions"] + told["adjustments"])]
        assert sum(parts) == pytest.approx(item["score"], abs=1e-6)
        reasons += len(told["contributions"])
    return reasons

"""Notices over HTTP: the app's own words, within the closed catalogue, and what they do to consents."""

from collections.abc import Callable
from typing import Any

from api.keys import Scope
from consent.notices.facts import facts
from tests.api.calls import NOTICE_REQUEST
from tests.conftest import NOTICE, OTHER_APP, Caller, event


async def publish(client: Caller, *touches: tuple[str, str], **more: Any) -> dict[str, Any]:
    """Publish a wording, material when it touches something; return the answer."""
    cells = [{"signal": signal, "purpose": purpose} for signal, purpose in touches]
    body = {**NOTICE_REQUEST, "kind": "material" if cells else "editorial", "touches": cells, **more}
    answer = await client.post("/v1/notices", body)
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def choose(client: Caller, version: str, signal: str = "views") -> Any:
    """Give consent on a version of the notice; return the answer."""
    body = {
        "changes": [{"signal": signal, "purpose": "personalise", "state": "given"}],
        "notice_version": version,
        "locale": "en",
        "method": "test",
    }
    return await client.http.put("/v1/users/u1/consents", json=body)


async def states(client: Caller) -> dict[str, str]:
    """The states of the cells to personalise."""
    cells = (await client.get("/v1/users/u1/consents")).json()["consents"]
    return {cell["signal"]: cell["state"] for cell in cells if cell["purpose"] == "personalise"}


async def test_the_apps_own_notice_is_shown_consented_on_and_receipted(client: Caller) -> None:
    """With the app's key it is the notice of the language; consent on the shipped one is refused from then on."""
    own = await publish(client)
    shown = (await client.get("/v1/notices/en-GB")).json()
    assert (shown["version"], shown["sha256"], shown["current"]) == (
        own["version"],
        own["sha256"]["en"],
        True,
    )
    assert all(fact in shown["text"] for fact in facts("en").values())
    refused = await choose(client, NOTICE)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    given = await choose(client, own["version"])
    assert given.status_code == 200
    notice = given.json()["receipt"]["purposes"][0]["privacy_notice"]
    assert (notice["version"], notice["sha256"]) == (own["version"], own["sha256"]["en"])


async def test_everybody_may_read_what_people_were_shown(client: Caller) -> None:
    """Without a key: the shipped notice, an app's current one, and any version there was; nothing for what never was."""
    own = await publish(client)
    await publish(client)
    del client.http.headers["Authorization"]
    assert (await client.get("/v1/notices/en")).json()["version"] == NOTICE
    assert (await client.get("/v1/notices/en?app=harbour")).json()["version"] == f"{NOTICE}.2"
    former = (await client.get(f"/v1/notices/en?app=harbour&version={own['version']}")).json()
    assert (former["sha256"], former["current"]) == (own["sha256"]["en"], False)
    assert (await client.get("/v1/notices/hi?app=nowhere")).json()["version"] == NOTICE
    for lost in ("es?app=harbour", "en?app=harbour&version=2020-01-01", "en?version=2026-11-22.1"):
        assert (await client.get(f"/v1/notices/{lost}")).status_code == 404
    client.http.headers["Authorization"] = "Bearer nonsense"
    assert (await client.get("/v1/notices/en")).status_code == 401


async def test_a_material_revision_ends_exactly_what_it_touches(client: Caller) -> None:
    """In decisions, cells, events and lists alike, from the moment it is published, until renewed."""
    for signal in ("views", "saves"):
        assert (await choose(client, NOTICE, signal)).status_code == 200
    await client.events(event("u1", "views", "box-breathing"), event("u1", "saves", "body-scan"))
    editorial = await publish(client)
    assert (await states(client))["views"] == "given"
    own = await publish(client, ("views", "personalise"))
    assert own["touches"] == [{"signal": "views", "purpose": "personalise"}]
    held = await states(client)
    assert (held["views"], held["saves"]) == ("invalidated", "given")
    decided = [
        (await client.get(f"/v1/users/u1/decisions?signal={signal}&purpose=personalise")).json()
        for signal in ("views", "saves")
    ]
    assert [(each["permitted"], each["reason"]) for each in decided] == [(False, "invalidated"), (True, None)]
    assert decided[1]["permit"]["notice_version"] == NOTICE
    sent = await client.events(event("u1", "views", "worry-time"), event("u1", "saves", "worry-time"))
    assert [each["status"] for each in sent["results"]] == ["refused", "accepted"]
    assert (await client.recommend("u1"))["signals_used"] == ["saves"]
    assert (await choose(client, editorial["version"])).status_code == 409
    assert (await choose(client, own["version"])).json()["receipt"]["purposes"][0]["event"][
        "event_state"
    ] == "given"
    assert (await states(client))["views"] == "given"


async def test_what_is_wrong_with_a_wording_is_told_by_its_field(client: Caller) -> None:
    """Missing facts, places for none, cells that do not go with the kind, languages there are not: 422, nothing published."""
    text = NOTICE_REQUEST["texts"]["en"]
    cell = {"signal": "views", "purpose": "improve"}
    for body, field in (
        ({"kind": "editorial", "texts": {"en": text.replace("{signals}", "")}}, "texts.en.signal.views"),
        ({"kind": "editorial", "texts": {"en": text, "es": "{purposes}"}}, "texts.es.signal.views"),
        ({"kind": "editorial", "texts": {"en": text + "{our_secret}"}}, "texts.en"),
        ({"kind": "editorial", "texts": {"fr": text}}, "texts.fr.[key]"),
        ({"kind": "editorial", "texts": {}}, "texts"),
        ({"kind": "editorial", "texts": {"en": text}, "touches": [cell]}, "touches"),
        ({"kind": "material", "texts": {"en": text}}, "touches"),
    ):
        answer = await client.post("/v1/notices", body)
        assert answer.status_code == 422, body
        assert [each["field"] for each in answer.json()["errors"]] == [field]
        assert "our_secret" not in answer.text
    assert (await client.get("/v1/notices")).json() == {"current": NOTICE, "revisions": []}


async def test_only_an_admin_key_publishes_and_each_app_has_its_own(
    client: Caller, caller_for: Callable[..., Any]
) -> None:
    """A key for consents reads the list; another app's list is empty, and its notice the shipped one."""
    reader = await caller_for("harbour", Scope.CONSENT)
    assert (await reader.post("/v1/notices", NOTICE_REQUEST)).status_code == 403
    published = [await publish(client), await publish(client, ("saves", "measure"))]
    listed = (await reader.get("/v1/notices")).json()
    assert (listed["revisions"], listed["current"]) == (published, published[1]["version"])
    other = await caller_for(OTHER_APP)
    assert (await other.get("/v1/notices")).json() == {"current": NOTICE, "revisions": []}
    assert (await other.get("/v1/notices/en")).json()["version"] == NOTICE


async def test_a_retry_publishes_once(client: Caller) -> None:
    """The same request under one Idempotency-Key is one revision, answered alike."""
    headers = {"Idempotency-Key": "n-1"}
    answers = [
        (await client.http.post("/v1/notices", json=NOTICE_REQUEST, headers=headers)).json() for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert len((await client.get("/v1/notices")).json()["revisions"]) == 1

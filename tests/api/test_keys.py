"""API keys: shown once, kept as a hash, with scopes; refused when malformed, foreign, over or revoked."""

from collections.abc import Callable
from typing import Any

import pytest

from api import administration, keys
from api.keys import BadKey, Scope
from api.service import Service
from tests.api import witness
from tests.api.calls import CALLS
from tests.api.witness import ON_SQLITE
from tests.conftest import APP, Caller, Clock

RECOMMEND = ("/v1/recommendations", {"user_id": "u1"})


async def status(client: Caller, key: str) -> int:
    """How a call with this key is answered."""
    answer = await client.post(*RECOMMEND, headers={"Authorization": f"Bearer {key}".encode()})
    if answer.status_code != 200:
        assert answer.json()["code"] == "unauthenticated"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code


def test_a_key_is_readable_and_checked() -> None:
    """A key begins with its prefix and its id, and one mistyped letter is noticed without asking anybody."""
    key = keys.create()
    assert key.text.startswith(f"assent_{key.key_id}_")
    assert keys.parse(key.text) == (key.key_id, key.secret_hash)
    for place in range(len(key.text)):
        wrong = key.text[:place] + ("x" if key.text[place] != "x" else "y") + key.text[place + 1 :]
        with pytest.raises(BadKey):
            keys.parse(wrong)


def test_keys_are_random() -> None:
    """A thousand keys share neither an id nor a secret; each has 256 bits of its own."""
    made = [keys.create() for _ in range(1_000)]
    assert len({key.key_id for key in made}) == len({key.secret_hash for key in made}) == 1_000


async def test_bad_keys_are_all_refused_alike(client: Caller, service: Service, clock: Clock) -> None:
    """No key, a malformed, unknown, forged, revoked or expired one: the same 401, and revoking works at once."""
    key = await administration.create_key(service, APP, "rotating", [Scope.RECOMMEND], days=30)
    other = await administration.create_key(service, APP, "next", [Scope.RECOMMEND])
    unknown = keys.create().text
    secret = keys.create().text.split("_")[2]
    forged = f"assent_{key.key_id}_{secret}"
    body = forged[: -len(secret)] + secret[:43]
    forged = body + keys._checksum(body)
    assert keys.parse(forged)[0] == key.key_id
    for bad in (
        "",
        "x",
        "assent_",
        "assent__",
        key.text[:-1],
        key.text + "0",
        unknown,
        forged,
        "☃",
        "a" * 10_000,
    ):
        assert await status(client, bad) == 401
    # Rotation: both work until the old one is revoked.
    for _ in range(2):
        assert [await status(client, each.text) for each in (key, other)] == [200, 200]
    assert await status(client, forged) == 401
    assert await administration.revoke_key(service, key.key_id)
    assert [await status(client, each.text) for each in (key, other)] == [401, 200]
    third = await administration.create_key(service, APP, "for a month", [Scope.RECOMMEND], days=30)
    clock.forward(days=29)
    assert await status(client, third.text) == 200
    clock.forward(days=1.1)
    assert await status(client, third.text) == 401


async def test_nothing_of_a_person_is_read_for_a_key_that_did_not_prove_itself(
    client: Caller, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key is looked up by itself at first, and in one query with what the person grants from then on; with a wrong secret or without the scope, only by itself."""
    key = await administration.create_key(service, APP, "new", [Scope.RECOMMEND])
    other = await administration.create_key(service, APP, "other", [Scope.CATALOG])
    body = f"assent_{key.key_id}_{keys.create().text.split('_')[2][:43]}"
    forged, asked = body + keys._checksum(body), list[str]()
    read = type(service.database.points).rows

    async def noted(self: Any, prepared: Any, values: Any, purpose: str) -> Any:
        asked.append("both" if {"user_hash", "key_id"} <= values.keys() else min(values.keys() - {"app_id"}))
        return await read(self, prepared, values, purpose)

    monkeypatch.setattr(type(service.database.points), "rows", noted)
    for text, expected, queries in (
        (forged, 401, ["key_id"]),
        (key.text, 200, ["key_id", "now"]),
        (forged, 401, ["key_id"]),
        (key.text, 200, ["both"]),
        (key.text, 200, ["both"]),
        (other.text, 403, ["key_id"]),
        (other.text, 403, ["key_id"]),
    ):
        asked.clear()
        answer = await client.post(*RECOMMEND, headers={"Authorization": f"Bearer {text}"})
        assert (answer.status_code, asked) == (expected, queries)
    assert await administration.revoke_key(service, other.key_id)
    assert await status(client, other.text) == 401


def test_of_keys_that_proved_themselves_a_bounded_number_is_remembered() -> None:
    """Those that were used longest ago are forgotten; another secret is nobody's."""
    known, made = keys.Proven(most=2), [keys.create() for _ in range(3)]
    callers = [keys.Caller(APP, key.key_id, frozenset({Scope.RECOMMEND})) for key in made]
    for caller, key in zip(callers[:2], made[:2], strict=True):
        known.add(caller, key.secret_hash)
    assert known.caller_of(made[0].key_id, made[0].secret_hash) == callers[0]
    known.add(callers[2], made[2].secret_hash)
    found = [known.caller_of(key.key_id, key.secret_hash) for key in made]
    assert found == [callers[0], None, callers[2]]
    assert known.caller_of(made[0].key_id, made[1].secret_hash) is None
    assert known.caller_of("", bytes(32)) is None


@ON_SQLITE
async def test_only_a_bearer_is_believed(client: Caller) -> None:
    """A key in another place than `Authorization: Bearer` opens nothing."""
    key = client.http.headers.pop("Authorization").removeprefix("Bearer ")
    for headers in ({}, {"Authorization": key}, {"Authorization": f"Basic {key}"}, {"X-Api-Key": key}):
        assert (await client.post(*RECOMMEND, headers=headers)).status_code == 401
    assert (await client.post(f"{RECOMMEND[0]}?key={key}", RECOMMEND[1])).status_code == 401


@ON_SQLITE
async def test_every_route_wants_its_scope(
    client: Caller, caller_for: Callable[..., Any], database_url: str
) -> None:
    """A key with every scope but the one a route needs is forbidden there, whatever else is wrong, and nothing is written."""
    del client.http.headers["Authorization"]
    callers = {
        scope: await caller_for(
            APP, *(set(Scope) - {scope, Scope.ADMIN} - keys.IMPLIED_BY.get(scope, frozenset()))
        )
        for scope in {call.scope for call in CALLS if call.scope}
    }
    before = await witness.everything(database_url)
    for call in CALLS:
        if call.scope is None:
            assert (await client.http.request(call.method, call.path())).status_code != 401, call
            continue
        refused = await callers[call.scope].http.request(call.method, call.path(), json=call.body)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), call
        assert call.scope.value in refused.json()["detail"]
        nobody = await client.http.request(call.method, call.path(), json=call.body)
        assert (nobody.status_code, nobody.json()["code"]) == (401, "unauthenticated"), call
    assert await witness.everything(database_url) == before


async def test_a_key_is_stored_as_a_hash(client: Caller, service: Service, database_url: str) -> None:
    """The secret of a key is in no file of the database; its id is."""
    key = await administration.create_key(service, APP, "hidden", [Scope.RECOMMEND])
    await service.database.scrub()
    secret = key.text.split("_")[2]
    assert await witness.files_hold(database_url, key.key_id.encode())
    for needle in (key.text, secret, secret[:43]):
        assert not await witness.files_hold(database_url, needle.encode())

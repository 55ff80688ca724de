"""Bad input: each gets the problem+json of the contract, names the field, repeats nothing, and nothing is written."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from api.service import Service
from tests.api import witness
from tests.api.calls import CALLS, CONSENT, RESOURCE
from tests.api.witness import ON_SQLITE
from tests.conftest import Caller, event

BODIES = [call for call in CALLS if call.body is not None]
CANARY = "canary7f3a"
DEEP = "[" * 100_000 + "]" * 100_000


@dataclass(frozen=True)
class Bad:
    """A body that must be refused, and how."""

    path: str
    body: Any
    field: str
    status: int = 422
    code: str = "invalid_request"
    method: str = "POST"


def check(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Return the problem, having seen that it is one, that it is this one, and that it repeats nothing that was sent."""
    about = f"{answer.request.method} {answer.request.url.path[:80]} -> {answer.text[:300]}"
    assert answer.headers["content-type"] == "application/problem+json", about
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code), about
    assert CANARY not in answer.text, about
    assert problem["title"], about
    assert problem["detail"], about
    assert answer.headers["cache-control"] == "no-store", about
    return problem


async def test_bodies_that_are_no_json(client: Caller, database_url: str) -> None:
    """On every route with a body: what cannot be parsed is 400 malformed_body, whatever its content type."""
    before = await witness.everything(database_url)
    garbage = (
        b"", b"{", b"nonsense canary7f3a", b'{"user_id": "canary7f3a"', b"\xff\xfe\x00", b'{"a": 01}', b"'x'",
        b'{"user_id": "\\ud800 canary7f3a"}', DEEP.encode(), b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    )  # fmt: skip
    for call in BODIES:
        for raw in garbage:
            answer = await client.http.request(
                call.method, call.path(), content=raw, headers={"Content-Type": "application/json"}
            )
            check(answer, 400, "malformed_body")
    assert await witness.everything(database_url) == before


@ON_SQLITE
async def test_bodies_of_another_shape(client: Caller, database_url: str) -> None:
    """On every route with a body: an array, a string, null, another object, or one field too many is 422, and names it."""
    before = await witness.everything(database_url)
    for call in BODIES:
        for wrong in ([], [call.body], "text", 17, None, {}, {"something": CANARY}):
            if wrong == {} and call.path() == ANONYMOUS:
                continue  # to ask without saying anything is a question
            answer = await client.http.request(call.method, call.path(), content=json.dumps(wrong))
            check(answer, 422, "invalid_request")
        more = await client.http.request(call.method, call.path(), json={**call.body, "extra_field": CANARY})
        problem = check(more, 422, "invalid_request")
        assert "extra_field" in [each["field"] for each in problem["errors"]]
    assert await witness.everything(database_url) == before


@ON_SQLITE
async def test_bodies_in_another_encoding(client: Caller, database_url: str) -> None:
    """A form, XML or compressed bytes are not JSON, whatever they claim to be."""
    before = await witness.everything(database_url)
    for call in BODIES:
        for kind, content in (
            ("application/x-www-form-urlencoded", b"user_id=canary7f3a"),
            ("text/xml", b"<user_id>canary7f3a</user_id>"),
            ("application/json", b"\x1f\x8b\x08canary7f3a"),
        ):
            answer = await client.http.request(
                call.method, call.path(), content=content, headers={"Content-Type": kind}
            )
            check(answer, 400, "malformed_body")
    assert await witness.everything(database_url) == before


@ON_SQLITE
async def test_bodies_that_are_too_large(client: Caller, database_url: str) -> None:
    """Ten megabytes are refused with 413 on every route with a body, whether their length is told or not."""
    before = await witness.everything(database_url)

    async def unannounced() -> Any:
        for _ in range(10):
            yield b" " * 1_000_000

    for call in BODIES:
        for content in (b" " * 10_000_000, unannounced()):
            answer = await client.http.request(
                call.method, call.path(), content=content, headers={"Content-Type": "application/json"}
            )
            check(answer, 413, "payload_too_large")
    assert await witness.everything(database_url) == before


@ON_SQLITE
async def test_names_of_fields(client: Caller) -> None:
    """Every name of ours is told, `body` too; a name that none of ours could be is not repeated."""
    answer = await client.http.put("/v1/resources/tea", json={**RESOURCE, "body": 5})
    assert "body" in [each["field"] for each in check(answer, 422, "invalid_request")["errors"]]
    unknown = {"user_id": "u", f"{CANARY}@example.com": 1}
    answer = await client.http.post("/v1/recommendations", json=unknown)
    assert [each["field"] for each in check(answer, 422, "invalid_request")["errors"]] == ["(unknown)"]
    answer = await client.http.get("/v1/resources?limit=0")
    assert [each["field"] for each in check(answer, 422, "invalid_request")["errors"]] == ["limit"]
    answer = await client.http.delete("/v1/users/u", headers={"Idempotency-Key": "k" * 256})
    errors = check(answer, 422, "invalid_request")["errors"]
    assert [each["field"] for each in errors] == ["Idempotency-Key"]


@ON_SQLITE
async def test_nobody_is_called_dot(client: Caller) -> None:
    """Clients take `.` and `..` out of a path: whoever were called so could not be deleted. `...` stays."""
    for name, status in ((".", 422), ("..", 422), ("...", 200), (".a", 200), ("a.", 200), ("a", 200)):
        answer = await client.http.post("/v1/recommendations", json={"user_id": name})
        assert answer.status_code == status, name


@ON_SQLITE
async def test_a_question_is_smaller(client: Caller) -> None:
    """Questions for recommendations have a limit of their own, and a thousand resources to exclude are within it."""
    paths = [f"/v1/recommendations{kind}" for kind in ("", ":whatif", ":anonymous")]
    longest = ["x" * 128] * 1000
    for path in paths:
        who = {} if path.endswith("anonymous") else {"user_id": "u"}
        what = {"without": ["views"]} if path.endswith("whatif") else {}
        fits = await client.http.post(path, json=who | what | {"filter": {"exclude": longest}})
        assert fits.status_code == 200, fits.text
        check(await client.http.post(path, content=b" " * 400_001), 413, "payload_too_large")


@ON_SQLITE
async def test_nothing_but_mistakes(client: Caller) -> None:
    """A body with very many mistakes is refused in few words; without a key, no question is looked at."""
    many: dict[str, Any] = {"user_id": "u", **{f"{CANARY}{number}": 0 for number in range(5000)}}
    problem = check(await client.http.post("/v1/recommendations", json=many), 422, "invalid_request")
    assert problem["errors"] == [{"field": "", "message": "5,000 things are wrong, too many to name them"}]
    for kind, row in (("application/x-ndjson", b"{}\n"), ("text/csv", b"a\n")):
        head = b"id,kind\n" if kind == "text/csv" else b""
        answer = await client.http.post(
            "/v1/resources:batch", content=head + row * 100_000, headers={"Content-Type": kind}
        )
        errors = check(answer, 422, "invalid_request")["errors"]
        assert len(errors) < 1020
        assert (errors[0]["line"], errors[-1]["field"]) == (1 + bool(head), "row")
        assert "not looked at any more" in errors[-1]["message"]
    without_key = await client.http.post("/v1/recommendations", json=many, headers={"Authorization": ""})
    check(without_key, 401, "unauthenticated")


def an_event(**changed: Any) -> dict[str, Any]:
    """A batch of one event, with these fields."""
    return {"events": [{**event("u1", "views", "box-breathing"), **changed}]}


def a_change(**changed: Any) -> dict[str, Any]:
    """A consent with these fields in its one change."""
    return {**CONSENT, "changes": [{**CONSENT["changes"][0], **changed}]}


EVENTS, CONSENTS, RECOMMEND = "/v1/events", "/v1/users/u1/consents", "/v1/recommendations"
ANONYMOUS = "/v1/recommendations:anonymous"
WHATIF, LINKS = "/v1/recommendations:whatif", "/v1/users/u1/links"
THING, BATCH = "/v1/resources/tea-and-a-window", "/v1/resources:batch"
LONG, EMOJI, NUL = "a" * 129, "🌊" + CANARY, CANARY + "\u0000"
NOBODIES = (LONG, EMOJI, NUL, "", "a b", "a/b", "a\n", "ä", 17, None, True, ["u1"], {"u": "1"})

FIELDS = (
    *(Bad(EVENTS, an_event(user_id=bad), "events.0.user_id") for bad in NOBODIES),
    *(Bad(EVENTS, an_event(event_id=bad), "events.0.event_id") for bad in (LONG, EMOJI, NUL, "", "a b", 1, None)),
    *(
        Bad(EVENTS, an_event(signal=bad), "events.0.signal")
        for bad in (CANARY, "", "Views", "views\n", NUL, 1, None, "location")
    ),
    *(Bad(EVENTS, an_event(resource_id=bad), "events.0.resource_id") for bad in (LONG, EMOJI, NUL, "", ".x", 1)),
    *(Bad(EVENTS, an_event(topic=bad), "events.0.topic") for bad in ("a" * 65, "canary7f3a words", NUL, "Sleep", 1)),
    *(Bad(EVENTS, an_event(value=bad), "events.0.value") for bad in ("5", True, [1], CANARY)),
    *(
        Bad(EVENTS, an_event(occurred_at=bad), "events.0.occurred_at")
        for bad in (CANARY, "", "2026-11-20", "2026-11-20T08:00:00", "2026-13-20T08:00:00Z", 10**30, None, True)
    ),
    Bad(EVENTS, an_event(seconds=12), "events.0.seconds"),
    Bad(EVENTS, {"events": []}, "events"),
    Bad(EVENTS, {"events": [event("u1", "views", "box-breathing")] * 1_001}, "events"),
    *(Bad(CONSENTS, a_change(signal=bad), "changes.0.signal", method="PUT") for bad in (CANARY, NUL, 1, None)),
    *(Bad(CONSENTS, a_change(purpose=bad), "changes.0.purpose", method="PUT") for bad in (CANARY, "sell", 1, None)),
    *(Bad(CONSENTS, a_change(state=bad), "changes.0.state", method="PUT") for bad in ("renewed", True, CANARY)),
    Bad(CONSENTS, {**CONSENT, "changes": []}, "changes", method="PUT"),
    Bad(CONSENTS, {**CONSENT, "changes": [*CONSENT["changes"]] * 2}, "changes", method="PUT"),
    Bad(CONSENTS, {**CONSENT, "changes": [*CONSENT["changes"]] * 101}, "changes", method="PUT"),
    *(
        Bad(CONSENTS, {**CONSENT, "notice_version": bad}, "notice_version", method="PUT")
        for bad in (CANARY, NUL, "", "a" * 33)
    ),
    *(Bad(CONSENTS, {**CONSENT, "locale": bad}, "locale", method="PUT") for bad in (CANARY, NUL, "", "xx", "e n", 1)),
    *(Bad(CONSENTS, {**CONSENT, "method": bad}, "method", method="PUT") for bad in (EMOJI, NUL, "", "a" * 65, 1)),
    *(
        Bad(CONSENTS, {**CONSENT, "actor": {"type": "guardian", "id": bad}}, "actor.id", method="PUT")
        for bad in (LONG, EMOJI, NUL, None)
    ),
    Bad(CONSENTS, {**CONSENT, "actor": {"type": "self", "id": "g1"}}, "actor.id", method="PUT"),
    Bad(CONSENTS, {**CONSENT, "actor": {"type": CANARY}}, "actor.type", method="PUT"),
    *(Bad(path, {"user_id": bad}, "user_id") for path in (RECOMMEND, WHATIF) for bad in NOBODIES),
    *(Bad(RECOMMEND, {"user_id": "u1", "limit": bad}, "limit") for bad in (0, 101, -1, 2.5, "10", True, 10**30, 1e308)),
    *(Bad(RECOMMEND, {"user_id": "u1", "diversity": bad}, "diversity") for bad in (-0.1, 1.1, 1e308, "0", True)),
    Bad(RECOMMEND, {"user_id": "u1", "explain": CANARY}, "explain"),
    Bad(RECOMMEND, {"user_id": "u1", "exclude_seen": "yes"}, "exclude_seen"),
    Bad(RECOMMEND, {"user_id": "u1", "filter": {"topics": [NUL]}}, "filter.topics.0"),
    Bad(RECOMMEND, {"user_id": "u1", "filter": {"topics": "sleep"}}, "filter.topics"),
    Bad(RECOMMEND, {"user_id": "u1", "filter": {"kinds": [CANARY]}}, "filter.kinds.0"),
    Bad(RECOMMEND, {"user_id": "u1", "filter": {"max_minutes": 0}}, "filter.max_minutes"),
    Bad(RECOMMEND, {"user_id": "u1", "filter": {"exclude": ["x"] * 1_001}}, "filter.exclude"),
    Bad(RECOMMEND, {"user_id": "u1", "context": {"topics": [LONG]}}, "context.topics.0"),
    Bad(RECOMMEND, {"user_id": "u1", "context": {"topics": ["sleep"] * 21}}, "context.topics"),
    Bad(RECOMMEND, {"user_id": "u1", "context": {"region": "gb"}}, "context.region"),
    Bad(RECOMMEND, {"user_id": "u1", "context": {"locale": NUL}}, "context.locale"),
    Bad(WHATIF, {"user_id": "u1", "without": [CANARY]}, "without.0"),
    Bad(WHATIF, {"user_id": "u1", "without": ["views"] * 11}, "without"),
    Bad(LINKS, {"kind": CANARY}, "kind"),
    *(Bad(LINKS, {"kind": "settings", "ttl_s": bad}, "ttl_s") for bad in (59, 2_592_001, "60", 60.5, 10**30)),
    *(
        Bad(THING, {**RESOURCE, name: bad}, f"{name}.0" if isinstance(bad, list) and bad else name, method="PUT")
        for name, bad in (
            ("id", EMOJI), ("id", "another"), ("title", ""), ("title", NUL), ("title", 1), ("kind", CANARY), ("minutes", -1),
            ("minutes", 10**30), ("minutes", "5"), ("languages", []), ("languages", ["canary7f3a!"]), ("regions", ["gb"]),
            ("reviewed_at", CANARY), ("reviewed_at", 10**30), ("url", CANARY), ("url", "javascript:alert(1)"),
            ("editorial_rank", 0), ("topics", ["a b"]), ("status", CANARY), ("evidence", CANARY), ("cost", CANARY),
        )
    ),
    *(
        Bad(BATCH, {"resources": [RESOURCE, {**RESOURCE, "id": "second", name: bad}]}, f"resources.1.{name}")
        for name, bad in (("title", NUL), ("minutes", 10**30), ("minutes", -(10**400)), ("kind", CANARY), ("xtra", 1))
    ),
    Bad(BATCH, {"resources": []}, "resources"),
    Bad(BATCH, {"resources": [RESOURCE, CANARY]}, "resources.1"),
    Bad(BATCH, {"resources": [RESOURCE] * 1_001}, "resources"),
    Bad(BATCH, {"resources": [RESOURCE, RESOURCE]}, "resources.1.id"),
)  # fmt: skip


async def test_wrong_values(client: Caller, database_url: str) -> None:
    """Every wrong value is refused with the field that carries it; of the batch or choice around it nothing is kept."""
    before = await witness.everything(database_url)
    for bad in FIELDS:
        answer = await client.http.request(bad.method, bad.path, content=json.dumps(bad.body).encode())
        problem = check(answer, bad.status, bad.code)
        assert bad.field in [each["field"] for each in problem["errors"]], (bad.field, problem)
    assert await witness.everything(database_url) == before


@ON_SQLITE
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5_000])
async def test_numbers_that_are_none(client: Caller, database_url: str, number: str) -> None:
    """NaN, infinities and numbers beyond every bound are refused wherever a number is asked for."""
    before = await witness.everything(database_url)
    for method, path, body in (
        ("POST", EVENTS, an_event(signal="ratings", value="#")),
        ("POST", EVENTS, an_event(occurred_at="#")),
        ("POST", RECOMMEND, {"user_id": "u1", "limit": "#"}),
        ("POST", RECOMMEND, {"user_id": "u1", "diversity": "#"}),
        ("POST", LINKS, {"kind": "why", "ttl_s": "#"}),
        ("PUT", THING, {**RESOURCE, "minutes": "#"}),
        ("POST", BATCH, {"resources": [{**RESOURCE, "minutes": "#"}]}),
        ("POST", BATCH, {"resources": [{**RESOURCE, "something": "#"}]}),
    ):
        answer = await client.http.request(method, path, content=json.dumps(body).replace('"#"', number))
        assert answer.status_code in {400, 422}, (method, path, number, answer.text)
        check(answer, answer.status_code, {400: "malformed_body", 422: "invalid_request"}[answer.status_code])
    assert await witness.everything(database_url) == before


@ON_SQLITE
async def test_wrong_names_in_paths_and_queries(client: Caller, database_url: str) -> None:
    """Ids of 129 characters, emoji, NUL and the like in a path or query are 422 or 404, never an error of ours."""
    before = await witness.everything(database_url)
    nasty = (
        LONG, EMOJI, "%00", CANARY + "%00", "%F0%9F%8C%8A", "%ff", "a%20b", "a%0Ab", quote("a/b", safe=""), "..%2f",
        "'; DROP TABLE subject; --", "%7B%7D", CANARY + "\u2028",
    )  # fmt: skip
    for call in CALLS:
        for name in call.names:
            for bad in nasty:
                path = call.path(**{name: bad if "%" in bad else quote(bad, safe="")})
                answer = await client.http.request(call.method, path, json=call.body)
                assert answer.status_code in {404, 405, 422}, (call, bad, answer.text)
                codes = {404: "not_found", 405: "method_not_allowed", 422: "invalid_request"}
                check(answer, answer.status_code, codes[answer.status_code])
    for path, field in (
        ("/v1/resources?limit=0", "limit"), ("/v1/resources?limit=101", "limit"), ("/v1/resources?limit=x", "limit"),
        ("/v1/resources?cursor=%00", "cursor"), (f"/v1/resources?cursor={quote(EMOJI)}", "cursor"),
        ("/v1/users/u1/consents/history?limit=1e9", "limit"), ("/v1/users/u1/consents/history?cursor=-1", "cursor"),
        (f"/v1/users/u1/consents/history?cursor={'9' * 19}", "cursor"), ("/v1/resources/x/similar?limit=0", "limit"),
    ):  # fmt: skip
        problem = check(await client.get(path), 422, "invalid_request")
        assert [each["field"] for each in problem["errors"]] == [field]
    assert await witness.everything(database_url) == before


@ON_SQLITE
async def test_routes_that_are_none(client: Caller) -> None:
    """An unknown path or method is a problem too."""
    check(await client.get("/v1/nothing/canary7f3a"), 404, "not_found")
    check(await client.get("/v1/events"), 405, "method_not_allowed")
    check(await client.http.patch("/v1/users/u1", json={}), 405, "method_not_allowed")


@ON_SQLITE
async def test_bad_rows_of_files(client: Caller, database_url: str) -> None:
    """JSON Lines and CSV name every bad row by line and field; nothing of such a file is imported."""
    before = await witness.everything(database_url)
    good = json.dumps(RESOURCE)
    lines = [good, "{", json.dumps({**RESOURCE, "id": "b", "kind": CANARY, "minutes": 0}), good]
    answer = await client.http.post(
        BATCH, content="\n".join(lines), headers={"Content-Type": "application/x-ndjson"}
    )
    problem = check(answer, 422, "invalid_request")
    told = [(each["line"], each["field"]) for each in problem["errors"]]
    assert told == [(2, "row"), (3, "kind"), (3, "minutes"), (4, "id")]
    for rows in (
        f"id,title\n{CANARY}", f'id,"{CANARY}', "", "unheard,id\na,b", "id,title,summary,kind,languages\na,b",
        f"id,title,summary,kind,languages,minutes\na,b,c,{CANARY},en,{CANARY}",
    ):  # fmt: skip
        answer = await client.http.post(BATCH, content=rows, headers={"Content-Type": "text/csv"})
        check(answer, 422, "invalid_request")
    assert await witness.everything(database_url) == before


async def test_extreme_times_are_no_error_of_ours(client: Caller, database_url: str) -> None:
    """The first and last moments that can be written are invalid events, and no more than that."""
    await client.consent("u1", "views")
    extremes = ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "1582-10-04T00:00:00Z")
    batch = [event("u1", "views", "box-breathing", occurred_at=at) for at in extremes]
    codes = [each["code"] for each in (await client.events(*batch))["results"]]
    assert codes == ["too_old", "in_the_future", "too_old"]


@ON_SQLITE
async def test_what_nobody_expected_is_told_to_nobody(
    client: Caller, service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of ours is a 500 problem without its message, in the answer and in the logs alike."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr("recommender.events.ingest", broken)
    answer = await client.post(EVENTS, an_event())
    check(answer, 500, "internal")
    assert "RuntimeError" in caplog.text
    assert CANARY not in caplog.text

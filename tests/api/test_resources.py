"""The catalogue over HTTP: written whole or not at all, read page by page, and recommended only while it may be."""

import asyncio
import json
from typing import Any

import pytest

from api.service import Service
from recommender.exchange import shipped
from tests.api import witness
from tests.api.calls import RESOURCE
from tests.api.witness import ON_SQLITE
from tests.conftest import Caller, Clock

THING, BATCH = "/v1/resources/tea-and-a-window", "/v1/resources:batch"


async def listed(client: Caller, service: Service, **more: Any) -> list[str]:
    """The ids of a long list for somebody who shares nothing, once the service looked at the catalogue."""
    await service.models.refresh()
    answer = await client.recommend("nobody", limit=100, **more)
    return [item["resource"]["id"] for item in answer["items"]]


async def test_a_resource_is_written_read_changed_and_removed(client: Caller) -> None:
    """What was put is what comes back; a change replaces it; once removed it is not there."""
    assert (await client.get(THING)).status_code == 404
    written = await client.http.put(THING, json=RESOURCE)
    assert (written.status_code, written.json()) == (200, (await client.get(THING)).json())
    assert {name: written.json()[name] for name in RESOURCE if name != "source"} == {
        name: value for name, value in RESOURCE.items() if name != "source"
    }
    await client.http.put(THING, json={**RESOURCE, "title": "Coffee"})
    assert (await client.get(THING)).json()["title"] == "Coffee"
    assert (await client.http.delete(THING)).status_code == 204
    assert (await client.get(THING)).status_code == (await client.http.delete(THING)).status_code == 404


@ON_SQLITE
async def test_the_catalogue_comes_page_by_page(client: Caller) -> None:
    """Pages in the order of ids hold every resource once; the last has no cursor."""
    ids: list[str] = []
    query, more = "?limit=50", True
    while more:
        page = (await client.get(f"/v1/resources{query}")).json()
        assert 0 < len(page["resources"]) <= 50
        ids += [each["id"] for each in page["resources"]]
        query, more = f"?limit=50&cursor={page['next_cursor']}", page["next_cursor"] is not None
    assert ids == sorted(each.id for each in shipped())


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
@ON_SQLITE
async def test_a_batch_is_all_or_nothing(client: Caller, database_url: str, kind: str) -> None:
    """Good rows of a batch with a bad one are not written; the bad one is named by its place or line."""
    rows = [{**RESOURCE, "id": f"tea-{number}"} for number in range(5)]
    before = await witness.everything(database_url)

    async def send(rows: list[dict[str, Any]]) -> Any:
        body = (
            json.dumps({"resources": rows})
            if kind == "application/json"
            else "\n".join(map(json.dumps, rows))
        )
        return await client.http.post(BATCH, content=body, headers={"Content-Type": kind})

    refused = await send([*rows[:3], {**rows[3], "minutes": 0}, rows[4]])
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert "minutes" in error["field"]
    assert error.get("line") == 4 or error["field"].startswith("resources.3.")
    assert await witness.everything(database_url) == before
    assert (await send(rows)).json() == {"written": 5}
    assert (await client.get("/v1/resources/tea-4")).status_code == 200


@ON_SQLITE
async def test_csv_goes_in_too(client: Caller) -> None:
    """A CSV file becomes resources, lists joined by a bar."""
    table = "id,title,summary,kind,languages,topics\ntea,Tea,A cup.,exercise,en|es,stress|sleep\n"
    answer = await client.http.post(BATCH, content=table, headers={"Content-Type": "text/csv; charset=utf-8"})
    assert answer.json() == {"written": 1}
    assert (await client.get("/v1/resources/tea")).json()["topics"] == ["stress", "sleep"]


@pytest.mark.parametrize("kind", ["application/x-ndjson", "text/csv"])
@ON_SQLITE
async def test_what_goes_out_comes_in_again(client: Caller, kind: str) -> None:
    """An export is taken back as it was, whatever a text has in it that some readers take for the end of a line."""
    texts = {
        "summary": "Ten\u2028or\u2029so\x85quiet\x0bminutes\x0cof\x1ctea.",
        "body": "One.\r\nTwo.\rThree.\nFour.",
    }
    written = (await client.http.put(THING, json={**RESOURCE, **texts})).json()
    assert {name: written[name] for name in texts} == texts
    file = await client.get("/v1/resources", headers={"Accept": kind})
    await client.http.delete(THING)
    answer = await client.http.post(BATCH, content=file.content, headers={"Content-Type": kind})
    assert answer.json() == {"written": len(shipped()) + 1}
    assert (await client.get(THING)).json() == written


@ON_SQLITE
async def test_a_change_is_recommended_without_a_restart(client: Caller, service: Service) -> None:
    """A resource enters the lists when it is written and leaves them when it is removed, within a few looks of the service."""

    async def appears(there: bool) -> None:
        for _ in range(200):
            items = (await client.recommend("nobody", limit=100, filter={"topics": ["tea"]}))["items"]
            if bool(items) == there:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"not {'there' if there else 'gone'} after four seconds")

    assert (await client.recommend("nobody", filter={"topics": ["tea"]}))["items"] == []
    await client.http.put(THING, json={**RESOURCE, "topics": ["tea"]})
    await appears(there=True)
    await client.http.delete(THING)
    await appears(there=False)


@ON_SQLITE
async def test_nothing_that_is_not_fit_is_ever_recommended(
    client: Caller, service: Service, clock: Clock
) -> None:
    """Drafts, retired, unreviewed, overdue, sourceless and contraindicated resources are in the catalogue and in no list."""
    tea = {**RESOURCE, "topics": ["tea"]}
    unfit: dict[str, dict[str, Any]] = {
        "draft": {"status": "draft"},
        "retired": {"status": "retired"},
        "unreviewed": {"reviewed_at": None},
        "not-yet-reviewed": {"reviewed_at": "2027-06-01"},
        "overdue": {"review_due": "2026-02-01"},
        "sourceless": {"source": None},
        "without-evidence": {"evidence": None},
        "demanding": {"intensity": "demanding", "contraindications": ["recent trauma"]},
        "contraindicated": {"contraindications": ["tea"]},
        "abroad": {"regions": ["NZ"]},
    }
    rows = [{**tea, "id": "fit"}, *({**tea, "id": name, **wrong} for name, wrong in unfit.items())]
    assert (await client.post(BATCH, {"resources": rows})).status_code == 200
    assert await listed(client, service, filter={"topics": ["tea"]}) == ["fit"]
    assert set(unfit) & set(await listed(client, service)) <= {"contraindicated"}  # of use to others
    for name in unfit:
        assert (await client.get(f"/v1/resources/{name}")).status_code == 200
    await client.http.put("/v1/resources/fit", json={**tea, "id": "fit", "review_due": "2026-12-31"})
    assert await listed(client, service, filter={"topics": ["tea"]}) == ["fit"]
    clock.forward(days=60)
    assert await listed(client, service, filter={"topics": ["tea"]}) == []


@ON_SQLITE
async def test_similar_resources_are_for_browsing(client: Caller, service: Service) -> None:
    """Near resources come nearest first, without the one asked about, and only what may be recommended."""
    items = (await client.get("/v1/resources/box-breathing/similar?limit=5")).json()["items"]
    assert len(items) == 5
    nearness = [item["similarity"] for item in items]
    assert nearness == sorted(nearness, reverse=True)
    assert "box-breathing" not in [item["resource"]["id"] for item in items]
    assert {item["resource"]["status"] for item in items} == {"published"}
    assert (await client.get("/v1/resources/nothing/similar")).status_code == 404

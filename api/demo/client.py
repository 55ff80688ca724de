"""What a partner app needs of Assent's HTTP API: a few calls with its own key. A living example; copy it."""

import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx


class Assent:
    """The API as one partner app uses it.

    Args:
        http: speaks to the API; its base URL and key are set.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._titles: dict[str, str] = {}

    async def recommend(
        self, user_id: str, *, topics: Iterable[str] = (), limit: int = 8, country: str | None = None
    ) -> dict[str, Any]:
        """Ask for a list with all reasons. While the service is down the answer still says where to turn."""
        topics = list(topics)
        answer = await self._http.post(
            "/v1/recommendations",
            json={
                "user_id": user_id,
                "limit": limit,
                "explain": "full",
                "filter": {"topics": topics},
                # The country is in the locale, so that helplines fit; as `region` it would also put local services first.
                "context": {"locale": f"en-{country}" if country else "en"},
                "exclude_seen": not topics,
            },
        )
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            answer.raise_for_status()
        document: dict[str, Any] = answer.json()
        return document

    async def tell(
        self,
        user_id: str,
        signal: str,
        *,
        resource_id: str | None = None,
        topic: str | None = None,
        value: float | None = None,
    ) -> str:
        """Send one event as it happens; return what became of it: accepted, duplicate, refused or invalid."""
        event: dict[str, Any] = {
            "event_id": f"harbour-{secrets.token_hex(12)}",
            "user_id": user_id,
            "signal": signal,
            "resource_id": resource_id,
            "topic": topic,
            "value": value,
            "occurred_at": datetime.now(UTC).isoformat(),
        }
        answer = await self._http.post("/v1/events", json={"events": [event]})
        answer.raise_for_status()
        return str(answer.json()["results"][0]["status"])

    async def shared(self, user_id: str) -> list[str]:
        """Return the signals that a person lets the app use to personalise."""
        answer = await self._http.get(f"/v1/users/{user_id}/consents")
        answer.raise_for_status()
        return [
            cell["signal"]
            for cell in answer.json()["consents"]
            if cell["purpose"] == "personalise" and cell["state"] in {"given", "renewed"}
        ]

    async def link(self, user_id: str, kind: str) -> str:
        """Return a single-use link to one of the person's own pages: settings, why or erase."""
        answer = await self._http.post(f"/v1/users/{user_id}/links", json={"kind": kind, "ttl_s": 600})
        answer.raise_for_status()
        return str(answer.json()["url"])

    async def resource(self, resource_id: str) -> dict[str, Any] | None:
        """Return a resource of the catalogue, or None."""
        answer = await self._http.get(f"/v1/resources/{resource_id}")
        if answer.status_code in {httpx.codes.NOT_FOUND, httpx.codes.UNPROCESSABLE_ENTITY}:
            return None
        answer.raise_for_status()
        document: dict[str, Any] = answer.json()
        return document

    async def similar(self, resource_id: str) -> list[dict[str, Any]]:
        """Return the resources nearest to one."""
        answer = await self._http.get(f"/v1/resources/{resource_id}/similar", params={"limit": 3})
        if answer.status_code == httpx.codes.NOT_FOUND:  # new, and not ranked with yet
            return []
        answer.raise_for_status()
        return [item["resource"] for item in answer.json()["items"]]

    async def signals(self) -> Mapping[str, str]:
        """Return the titles of signals by their ids."""
        answer = await self._http.get("/v1/signals")
        answer.raise_for_status()
        return {signal["id"]: signal["texts"]["en"]["title"] for signal in answer.json()["signals"]}

    async def titles(self, resource_ids: Iterable[str]) -> Mapping[str, str]:
        """Return the titles of resources, remembered from call to call."""
        for resource_id in set(resource_ids) - self._titles.keys():
            found = await self.resource(resource_id)
            self._titles[resource_id] = found["title"] if found else resource_id
        return self._titles

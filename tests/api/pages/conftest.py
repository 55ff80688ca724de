"""A browser without a key, and people who come with a link."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI

from api.service import Service
from api.tokens import Kind
from consent import store as ledger
from tests.conftest import APP

ORIGIN = "http://127.0.0.1:8000"
"""The public address in the settings of tests."""
HOUR = 3_600_000_000


@dataclass
class Browser:
    """What a person's browser does with the pages."""

    http: httpx.AsyncClient
    service: Service

    async def link(self, kind: Kind, user_id: str, *, app_id: str = APP, ttl: int = HOUR) -> str:
        """Return the path of a fresh link for a person, as their app would hand it to them."""
        user_hash = self.service.pseudonyms.user(app_id, user_id)
        async with self.service.database.read(app_id) as connection:
            subject_id = await ledger.find_subject(connection, app_id, user_hash)
        url = self.service.link(kind, app_id, user_hash, subject_id, self.service.clock() + ttl)
        return url.removeprefix(ORIGIN)

    async def enter(self, user_id: str, *, app_id: str = APP) -> str:
        """Open a person's settings; return the consent page."""
        opened = await self.http.get(await self.link(Kind.SETTINGS, user_id, app_id=app_id))
        assert opened.status_code == 303, opened.text
        return await self.page("/me")

    async def page(self, path: str) -> str:
        """Return a page that is there."""
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def send(
        self, page: str, do: str, on: set[str] | None = None, path: str = "/me/consents"
    ) -> httpx.Response:
        """Press a button of the form on a page, with these cells ticked; those that were on when none are given."""
        hidden = dict(
            re.findall(
                r'<input type="hidden" name="(csrf|notice_\w+|as_of|shown_at|offered)" value="([^"]*)"', page
            )
        )
        shown = shown_on(page)
        ticked = shown if on is None else on
        form = {**hidden, "do": do, "shown": sorted(shown), "cell": sorted(ticked)}
        return await self.http.post(
            path, data=form, headers={"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
        )


def shown_on(page: str) -> set[str]:
    """Return the cells that a consent page shows as on."""
    return set(re.findall(r'name="cell" value="([a-z_.]+)" checked', page))


@pytest.fixture
async def browser(app: FastAPI, service: Service) -> AsyncIterator[Browser]:
    """A browser with its own cookies, which follows no redirect by itself."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=ORIGIN, headers={"Accept": "text/html,*/*;q=0.8"}
    ) as http:
        yield Browser(http, service)

"""What a person can read and keep: the history of their choices, receipts, and a copy of everything."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from api import people
from api.pages.serving import PageRoute, Refusal, language, page, service_of
from api.pages.sessions import Visitor, VisitorDep
from consent import store as ledger
from consent.ledger import ConsentEvent
from consent.receipts import canonical
from consent.signals import SIGNALS

records = APIRouter(route_class=PageRoute, include_in_schema=False)

_RECEIPT_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Entry:
    """Choices made together: they share a moment, a notice and a receipt."""

    at: int
    receipt_id: str
    method: str
    notice_version: str
    lines: Sequence["Line"]


@dataclass(frozen=True)
class Line:
    """One choice about one signal, and the uses it is for."""

    signal: str
    state: str
    expires_at: int | None
    purposes: Sequence[str]


@records.get("/me/history")
async def show_history(request: Request, who: VisitorDep) -> Response:
    """Show every choice, newest first."""
    async with service_of(request).database.read(who.app_id) as connection:
        subject_id = await ledger.find_subject(connection, who.app_id, who.user_hash)
        events = [] if subject_id is None else await ledger.history(connection, who.app_id, subject_id)
    entries = [_entry(list(together)) for _, together in groupby(events, key=lambda event: event.receipt_id)]
    return page(request, "history.html", who=who, entries=entries[::-1], titles=_titles(request))


def _entry(events: Sequence[ConsentEvent]) -> Entry:
    first = events[0]
    lines = _lines(
        (event.signal, event.state.value, event.expires_at, event.purpose.value) for event in events
    )
    return Entry(first.at, first.receipt_id, first.method, first.notice_version, lines)


def _lines(choices: Iterable[tuple[str, str, int | None, str]]) -> list[Line]:
    """Put the uses of a signal together that were chosen alike; choices are (signal, state, end, purpose)."""
    together: dict[tuple[str, str, int | None], list[str]] = {}
    for signal, state, expires_at, purpose in choices:
        together.setdefault((signal, state, expires_at), []).append(purpose)
    return [Line(*alike, purposes) for alike, purposes in together.items()]


def _titles(request: Request) -> dict[str, str]:
    return {signal.id: signal.texts[language(request)].title for signal in SIGNALS.values()}


@records.get("/me/receipts/{receipt_id}.json")
async def download_receipt(request: Request, who: VisitorDep, receipt_id: str) -> Response:
    """Hand over a receipt as canonical JSON."""
    body, _ = await _receipt(request, who, receipt_id)
    return _download(canonical(body).encode(), "application/json", f"receipt-{receipt_id}.json")


@records.get("/me/receipts/{receipt_id}.jws")
async def download_signed_receipt(request: Request, who: VisitorDep, receipt_id: str) -> Response:
    """Hand over a receipt with its signature (RFC 7515)."""
    _, jws = await _receipt(request, who, receipt_id)
    return _download(jws.encode(), "application/jose", f"receipt-{receipt_id}.jws")


@records.get("/me/receipts/{receipt_id}")
async def show_receipt(request: Request, who: VisitorDep, receipt_id: str) -> Response:
    """Show a receipt in words."""
    body, _ = await _receipt(request, who, receipt_id)
    lines = _lines(
        (
            purpose["pii_information"]["pii_type"],
            purpose["event"]["event_state"],
            _microseconds(purpose["event"]["expires_at"]),
            purpose["purpose"],
        )
        for purpose in body["purposes"]
    )
    at = _microseconds(body["purposes"][0]["event"]["event_time"])
    return page(request, "receipt.html", who=who, receipt=body, at=at, lines=lines, titles=_titles(request))


@records.get("/me/export")
async def export(request: Request, who: VisitorDep) -> Response:
    """Hand over everything held on the person."""
    service = service_of(request)
    async with service.database.read(who.app_id) as connection:
        held = await people.export(service, connection, who.app_id, who.user_hash)
    return _download(orjson.dumps(held, option=orjson.OPT_INDENT_2), "application/json", "my-data.json")


async def _receipt(request: Request, who: Visitor, receipt_id: str) -> tuple[dict[str, Any], str]:
    """Return a receipt of this person's as (JSON, JWS); anyone else's does not exist."""
    found = None
    if _RECEIPT_ID.fullmatch(receipt_id):
        async with service_of(request).database.read(who.app_id) as connection:
            subject_id = await ledger.find_subject(connection, who.app_id, who.user_hash)
            if subject_id is not None:
                found = await ledger.find_receipt(connection, who.app_id, subject_id, receipt_id)
    if found is None:
        raise Refusal(404, "not_found")
    return found


def _microseconds(time: str | None) -> int | None:
    return None if time is None else int(datetime.fromisoformat(time).timestamp() * 1_000_000)


def _download(content: bytes, media_type: str, name: str) -> Response:
    return Response(
        content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )

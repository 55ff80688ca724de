"""What a person can read and keep: the history of their choices, receipts, and a copy of everything."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from fastapi import APIRouter, Request, Response

from api import archive, transparency
from api.handing_over import Busy, HandingDep
from api.pages.serving import PageRoute, Refusal, language, page, refusal, service_of, wants_html
from api.pages.sessions import PersonDep, Visitor, VisitorDep
from api.pages.wording import words
from api.receipts import FILES, FORMATS, JSON
from consent import store as ledger
from consent.ledger import ConsentEvent
from consent.notices.wording import wording
from consent.receipts.records import microseconds
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
    by: str
    shown: int
    """How many choices there were to make, these among them; 0 where nobody said."""
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
    return Entry(
        at=first.at,
        receipt_id=first.receipt_id,
        method=first.method,
        notice_version=first.notice_version,
        by=first.actor.type,
        shown=len(first.shown or ()),
        lines=lines,
    )


def _lines(choices: Iterable[tuple[str, str, int | None, str]]) -> list[Line]:
    """Put the uses of a signal together that were chosen alike; choices are (signal, state, end, purpose)."""
    together: dict[tuple[str, str, int | None], list[str]] = {}
    for signal, state, expires_at, purpose in choices:
        together.setdefault((signal, state, expires_at), []).append(purpose)
    return [Line(*alike, purposes) for alike, purposes in together.items()]


def _shown(receipt: Mapping[str, Any]) -> list[tuple[str, Sequence[str]]]:
    """Return what a receipt says was shown, signal by signal, in the order of the pages."""
    shown = {each["signal"]: each["purposes"] for each in receipt.get("shown") or []}
    return [(signal, shown[signal]) for signal in SIGNALS if signal in shown]


def _titles(request: Request) -> dict[str, str]:
    return {signal.id: signal.texts[language(request)].title for signal in SIGNALS.values()}


@records.get("/me/receipts/{receipt_id}.{ending}")
async def download_receipt(request: Request, who: VisitorDep, receipt_id: str, ending: str) -> Response:
    """Hand over a receipt as a file: JSON with its proof, signed (RFC 7515), or in the format of another program."""
    if ending not in FILES:
        raise Refusal(404, "not_found")
    media_type = FILES[ending]
    body, jws = await _receipt(request, who, receipt_id)
    if media_type == JSON:  # what people keep has its proof with it
        service = service_of(request)
        body = await transparency.receipt_with_proof(service, who.app_id, who.user_hash, receipt_id) or body
    content = FORMATS[media_type](body, jws)
    return _download(content, media_type, f"receipt-{receipt_id}.{ending}")


@records.get("/me/receipts/{receipt_id}")
async def show_receipt(request: Request, who: VisitorDep, receipt_id: str) -> Response:
    """Show a receipt in words."""
    body, _ = await _receipt(request, who, receipt_id)
    lines = _lines(
        (
            purpose["pii_information"]["pii_type"],
            purpose["event"]["event_state"],
            None if (end := purpose["event"]["expires_at"]) is None else microseconds(end),
            purpose["purpose"],
        )
        for purpose in body["purposes"]
    )
    first = body["purposes"][0]
    at = microseconds(first["event"]["event_time"])
    told = wording(language(request))
    return page(
        request,
        "receipt.html",
        who=who,
        receipt=body,
        facts=first,
        told=told.facts,
        kept={_titles(request)[line.signal]: told.span(SIGNALS[line.signal].retention) for line in lines},
        controller=next(party for party in body["parties"] if party["role"] == "controller"),
        guardian=any(party["role"] == "guardian" for party in body["parties"]),
        at=at,
        lines=lines,
        shown=_shown(body),
        shown_at=None if (seen := first["event"]["shown_at"]) is None else microseconds(seen),
        titles=_titles(request),
    )


@records.get("/me/export")
async def export(request: Request, who: PersonDep, handing: HandingDep) -> Response:
    """Hand over everything held on the person: a page in their language, and the files beside it."""
    told = words(language(request))
    chunks = archive.as_zip(service_of(request), who.app_id, who.user_hash, told)
    headers = _attached("my-data.zip")
    try:
        return await handing.over(who.app_id, who.user_hash, chunks, archive.MEDIA_TYPE, headers)
    except Busy as busy:
        if not wants_html(request):
            raise
        answer = refusal(request, busy.status, "busy")
        answer.headers.update(busy.headers)
        return answer


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


def _download(content: bytes, media_type: str, name: str) -> Response:
    return Response(content, media_type=media_type, headers=_attached(name))


def _attached(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}

"""The consent page: what may be used, for what, since when; and the form that changes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData

from api import people
from api.pages import choices, sessions
from api.pages.choices import Deed
from api.pages.serving import PageRoute, Refusal, base_path, language, page, prose, see_other, service_of
from api.pages.sessions import FormDep, Visitor, VisitorDep
from api.service import Service
from consent import changes
from consent import store as ledger
from consent.errors import NoticeSuperseded, UnknownNotice
from consent.ledger import Actor, Cell, Change, Choice
from consent.purposes import Purpose
from consent.signals import SIGNALS, Sensitivity, Signal

consents = APIRouter(route_class=PageRoute, include_in_schema=False)

METHOD = "settings_page"
"""How consent was given, in the ledger and on receipts."""
SAID_COOKIE = "assent_said"
_SAYINGS = ("saved", "all_on", "all_off", "renewed", "nothing", "superseded")


@dataclass(frozen=True)
class Card:
    """One signal on the page, in the reader's language."""

    signal: Signal
    title: str
    description: str
    special: bool
    cells: Sequence[Cell]


def cards(cells: Sequence[Cell], locale: str) -> list[Card]:
    """Return the cells as the page shows them: a card for each signal."""
    return [
        Card(
            signal,
            signal.texts[locale].title,
            signal.texts[locale].description,
            signal.sensitivity is Sensitivity.SPECIAL,
            [cell for cell in cells if cell.signal == signal.id],
        )
        for signal in SIGNALS.values()
    ]


@consents.get("/me")
async def show(request: Request, who: VisitorDep) -> Response:
    """Show every signal with its three uses, as they stand now."""
    service = service_of(request)
    async with service.database.read(who.app_id) as connection:
        cells = await people.cells(service, connection, who.app_id, who.user_hash)
    now = service.clock()
    said, receipt_id = _said(request)
    response = page(
        request,
        "consents.html",
        who=who,
        notice=service.notices.current(language(request)),
        cards=cards(cells, language(request)),
        on=choices.on,
        written=choices.written,
        signals_on=len({cell.signal for cell in cells if choices.on(cell)}),
        ending=[cell for cell in cells if choices.ends_soon(cell, now)],
        purposes=tuple(Purpose),
        said=said,
        receipt_id=receipt_id,
    )
    response.delete_cookie(SAID_COOKIE, path=base_path(service) or "/")
    return response


@consents.get("/me/notice")
async def show_notice(request: Request, who: VisitorDep) -> Response:
    """Show the notice, word for word, with the version and digest that receipts name."""
    notice = service_of(request).notices.current(language(request))
    return page(request, "notice.html", who=who, notice=notice, body=prose(notice.text))


@consents.post("/me/consents")
async def choose(request: Request, who: VisitorDep, form: FormDep) -> Response:
    """Record what the person changed, and send them back to the page."""
    service = service_of(request)
    deed = _deed(form)
    async with service.database.write(who.app_id) as connection:
        cells = await people.cells(service, connection, who.app_id, who.user_hash)
        asked = choices.chosen(
            deed,
            cells,
            ticked=choices.read(str(value) for value in form.getlist("cell")),
            shown=choices.read(str(value) for value in form.getlist("shown")),
            now=service.clock(),
        )
        recorded = await _record(service, connection, who, asked, form)
        subject_id = await ledger.find_subject(connection, who.app_id, who.user_hash)
    if recorded.signals_lost:
        await service.database.scrub()
    response = see_other(request, "/me")
    _say(service, response, recorded, deed)
    if subject_id != who.subject_id:
        # Whoever had no row before has one now: from here on the session ends with it.
        sessions.begin(service, response, who.app_id, who.user_hash, subject_id)
    return response


@dataclass(frozen=True)
class _Recorded:
    receipt_id: str = ""
    signals_lost: bool = False
    superseded: bool = False


async def _record(
    service: Service, connection: Any, who: Visitor, asked: list[Change], form: FormData
) -> _Recorded:
    """Record choices on the notice that the page showed; of an outdated one only the withdrawals count."""
    version, locale = str(form.get("notice_version", "")), str(form.get("notice_locale", ""))
    superseded = False
    try:
        service.notices.find(version, locale)
        if any(change.choice is Choice.GIVEN for change in asked):
            service.notices.require_current(version)
    except UnknownNotice:
        raise Refusal(400, "not_understood") from None
    except NoticeSuperseded:
        superseded = True
        asked = [change for change in asked if change.choice is not Choice.GIVEN]
    if not asked:
        return _Recorded(superseded=superseded)
    request = changes.Request(asked, version, locale, METHOD, Actor())
    changed = await people.change(service, connection, who.app_id, who.user_hash, request)
    return _Recorded(str(changed.receipt["receipt_id"]), bool(changed.signals_lost), superseded)


def _deed(form: FormData) -> Deed:
    try:
        return Deed(str(form.get("do", "")))
    except ValueError:
        raise Refusal(400, "not_understood") from None


def _say(service: Service, response: Response, recorded: _Recorded, deed: Deed) -> None:
    """Leave word of what was done for the next page, in a cookie that other sites cannot set."""
    done = {Deed.SAVE: "saved", Deed.RENEW: "renewed"}.get(deed, deed.value)
    said = "superseded" if recorded.superseded else done if recorded.receipt_id else "nothing"
    response.set_cookie(
        SAID_COOKIE,
        f"{said}.{recorded.receipt_id}",
        max_age=60,
        path=base_path(service) or "/",
        secure=service.settings.public_url.startswith("https://"),
        httponly=True,
        samesite="lax",
    )


def _said(request: Request) -> tuple[str | None, str]:
    said, _, receipt_id = request.cookies.get(SAID_COOKIE, "").partition(".")
    known = said in _SAYINGS
    return (said if known else None), (receipt_id if known and receipt_id.isalnum() else "")

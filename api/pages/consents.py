"""The consent page: what may be used, for what, since when; and the form that changes it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData

from api import people
from api.pages import choices, sessions
from api.pages.choices import Deed
from api.pages.serving import PageRoute, Refusal, base_path, language, page, prose, see_other, service_of
from api.pages.sessions import FormDep, Visitor, VisitorDep
from api.pages.standing import standing
from api.pages.wording import words
from api.service import Service
from consent import changes, persons
from consent import store as ledger
from consent.errors import NoticeSuperseded, UnknownNotice
from consent.ledger import Cell, Change, Choice
from consent.purposes import Purpose
from consent.signals import SIGNALS, Sensitivity, Signal

consents = APIRouter(route_class=PageRoute, include_in_schema=False)

METHOD = "settings_page"
"""How consent was given, in the ledger and on receipts."""
PLACE = "/me"
"""Where the notice was shown."""
SAID_COOKIE = "assent_said"
_SAYINGS = ("saved", "all_on", "all_off", "renewed", "nothing", "superseded", "meanwhile")


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
        notices = await service.board.of(connection, who.app_id)
        band = await people.age_band(connection, who.app_id, who.user_hash)
    now = service.clock()
    said, receipt_id = _said(request)
    response = page(
        request,
        "consents.html",
        who=who,
        notice=notices.shown(language(request)),
        cards=cards(cells, language(request)),
        titles={signal.id: signal.texts[language(request)].title for signal in SIGNALS.values()},
        on=choices.on,
        written=choices.written,
        signals_on=len({cell.signal for cell in cells if choices.on(cell)}),
        ending=[cell for cell in cells if choices.ends_soon(cell, now)],
        purposes=tuple(Purpose),
        standing=standing(service, who, cells, band),
        as_of=people.as_of(cells),
        shown_at=now,
        said=said,
        receipt_id=receipt_id,
    )
    response.delete_cookie(SAID_COOKIE, path=base_path(service) or "/")
    return response


@consents.get("/me/notice")
async def show_notice(request: Request, who: VisitorDep, version: str = "", locale: str = "") -> Response:
    """Show a notice, word for word, with the version and digest that receipts name: that of a receipt, or the one of now."""
    service = service_of(request)
    async with service.database.read(who.app_id) as connection:
        notices = await service.board.of(connection, who.app_id)
    try:
        notice = notices.find(version, locale) if version else notices.shown(language(request))
    except UnknownNotice:
        raise Refusal(404, "not_found") from None
    return page(
        request,
        "notice.html",
        who=who,
        notice=notice,
        body=prose(notice.text),
        direction=words(notice.locale).direction,
    )


@consents.post("/me/consents")
async def choose(request: Request, who: VisitorDep, form: FormDep) -> Response:
    """Record what the person changed, and send them back to the page."""
    service = service_of(request)
    deed = _deed(form)
    async with (
        service.changes.under_way(who.app_id, who.user_hash) as under_way,
        service.database.write(who.app_id) as connection,
    ):
        # Held before anything is read, so that no no comes in between that the form would not be sifted by.
        await persons.hold(connection, who.app_id, who.user_hash)
        cells = await people.cells(service, connection, who.app_id, who.user_hash)
        band = await people.age_band(connection, who.app_id, who.user_hash)
        asked = choices.chosen(
            deed,
            cells,
            ticked=choices.read(str(value) for value in form.getlist("cell")),
            shown=choices.read(str(value) for value in form.getlist("shown")),
            now=service.clock(),
        )
        stands = standing(service, who, cells, band)
        denied = {(cell.signal, cell.purpose) for cell in cells if not stands.may_give(cell)}
        allowed = [each for each in asked if each.choice is not Choice.GIVEN or _name(each) not in denied]
        recorded = await _record(service, connection, who, cells, allowed, form)
        if recorded.place is not None:
            under_way.takes(recorded.place)
        subject_id = await ledger.find_subject(connection, who.app_id, who.user_hash)
        if who.subject_id not in {
            None,
            subject_id,
        }:  # they left while this was under way, and do not come back by it
            raise Refusal(403, "no_session")
    if recorded.signals_lost:
        await service.database.scrub()
    response = see_other(request, "/me")
    _say(service, response, recorded, deed if allowed == asked else Deed.SAVE)
    if subject_id != who.subject_id:
        # Whoever had no row before has one now: from here on the session ends with it.
        sessions.begin(service, response, who.app_id, who.user_hash, subject_id, who.guardian)
    return response


def _name(change: Change) -> choices.Name:
    return change.signal, change.purpose


@dataclass(frozen=True)
class _Recorded:
    receipt_id: str = ""
    signals_lost: bool = False
    place: int | None = None
    """Where in the ledger it begins."""
    left_out: str = ""
    """Why something that was turned on is not: `superseded`, or `meanwhile`."""


async def _record(
    service: Service,
    connection: AsyncConnection,
    who: Visitor,
    cells: Sequence[Cell],
    asked: list[Change],
    form: FormData,
) -> _Recorded:
    """Record choices on the notice that the page showed, when it was shown.

    Of an outdated notice only what is turned off counts; and what was turned off elsewhere since the page was made
    stays off. Turning off is held up by nothing.
    """
    version, locale = str(form.get("notice_version", "")), str(form.get("notice_locale", ""))
    notices = await service.board.of(connection, who.app_id)
    left_out = ""
    try:
        notices.find(version, locale)
        if any(change.choice is Choice.GIVEN for change in asked):
            notices.require_current(version)
    except UnknownNotice:
        raise Refusal(400, "not_understood") from None
    except NoticeSuperseded:
        left_out = "superseded"
        asked = [change for change in asked if change.choice is not Choice.GIVEN]
    shown_at = _number(form, "shown_at")
    offered = choices.read(str(form.get("offered", "")).split()) or None
    if offered and any(change.choice is Choice.GIVEN and _name(change) not in offered for change in asked):
        raise Refusal(400, "not_understood")
    request = changes.Request(
        asked,
        version,
        locale,
        METHOD,
        who.actor,
        known=_number(form, "as_of") or 0,
        place=PLACE,
        shown_at=None if shown_at is None else min(shown_at, service.clock()),
        shown=offered,
    )
    before = {(cell.signal, cell.purpose): cell for cell in cells}
    late = changes.denied_since(request, before, service.clock())
    if late:
        left_out = "meanwhile"
        kept = [change for number, change in enumerate(asked) if number not in late]
        request = replace(request, changes=kept)
    if not request.changes:
        return _Recorded(left_out=left_out)
    changed = await people.change(service, connection, who.app_id, who.user_hash, request)
    return _Recorded(
        str(changed.receipt["receipt_id"]), bool(changed.signals_lost), changed.leaves[0].index, left_out
    )


def _number(form: FormData, field: str) -> int | None:
    """Return a number that the page wrote into its form; None when it is not there any more, which stops nobody."""
    text = str(form.get(field, ""))
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _deed(form: FormData) -> Deed:
    try:
        return Deed(str(form.get("do", "")))
    except ValueError:
        raise Refusal(400, "not_understood") from None


def _say(service: Service, response: Response, recorded: _Recorded, deed: Deed) -> None:
    """Leave word of what was done for the next page, in a cookie that other sites cannot set."""
    done = {Deed.SAVE: "saved", Deed.RENEW: "renewed", Deed.AGAIN: "saved"}.get(deed, deed.value)
    said = recorded.left_out or (done if recorded.receipt_id else "nothing")
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

"""Who is looking at a page: a short session in a cookie, made by opening a link, and forms that only they can send."""

import hashlib
import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from api.pages.serving import Refusal, base_path, service_of
from api.replaying import ensure_replayed
from api.service import Service
from api.tokens import BadToken, Kind, Token
from consent import erasure
from consent.ledger import GUARDIAN, SELF, Actor
from consent.pseudonyms import derived_key
from consent.store import app_name, find_subject

FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
_MOST_FIELDS = 200


@dataclass(frozen=True)
class Visitor:
    """The person behind a session. `csrf` goes into every form of theirs."""

    app_id: str
    app_name: str
    user_hash: bytes
    subject_id: str | None
    csrf: str
    guardian: str | None = None
    """Pseudonym of the guardian who acts for them, when it is not they who look."""

    @property
    def actor(self) -> Actor:
        """Who acts on the page."""
        return SELF if self.guardian is None else Actor(GUARDIAN, self.guardian)


def cookie_name(service: Service) -> str:
    """Return the name of the session's cookie: one that only this very host can have set, where that can be said."""
    secure = service.settings.public_url.startswith("https://")
    return "__Host-assent_session" if secure and not base_path(service) else "assent_session"


def begin(
    service: Service,
    response: Response,
    app_id: str,
    user_hash: bytes,
    subject_id: str | None,
    guardian: str | None,
) -> None:
    """Give the browser a session."""
    ttl_s = service.settings.session_ttl_s
    now = service.clock()
    expires_at = now + ttl_s * 1_000_000
    response.set_cookie(
        cookie_name(service),
        service.tokens.make(Kind.SESSION, app_id, user_hash, subject_id, expires_at, guardian, now),
        max_age=ttl_s,
        path=base_path(service) or "/",
        secure=service.settings.public_url.startswith("https://"),
        httponly=True,
        samesite="lax",
    )


def end(service: Service, response: Response) -> None:
    """Take the session back."""
    response.delete_cookie(
        cookie_name(service),
        path=base_path(service) or "/",
        secure=service.settings.public_url.startswith("https://"),
        httponly=True,
        samesite="lax",
    )


def session_of(service: Service, request: Request) -> Token | None:
    """Return the session that a browser holds, or None; whether the person is still there is asked elsewhere."""
    try:
        return service.tokens.open(
            request.cookies.get(cookie_name(service), ""), Kind.SESSION, service.clock()
        )
    except BadToken:
        return None


async def still_meant(connection: AsyncConnection, token: Token) -> bool:
    """Tell whether the person whom a token was made for is still there.

    One made before they had a row stays good when they get one, as by the other links of the same list. It is over
    where that may be the row of somebody who was deleted since and came back: nothing tells whose the app's deletions
    were, so that any between the token and the row counts.
    """
    if token.subject_id is not None:
        return await find_subject(connection, token.app_id, token.user_hash) == token.subject_id
    return not await erasure.may_have_come_back(connection, token.app_id, token.user_hash, token.made_at)


async def visitor(request: Request) -> Visitor:
    """Return who is looking; a refusal when there is no session, or none any more."""
    service = service_of(request)
    await ensure_replayed(service)
    session = session_of(service, request)
    if session is None:
        raise Refusal(403, "no_session")
    async with service.database.read(session.app_id) as connection:
        if not await still_meant(connection, session):
            raise Refusal(403, "no_session")
        name = await app_name(connection, session.app_id)
    return Visitor(
        session.app_id,
        name or session.app_id,
        session.user_hash,
        session.subject_id,
        _csrf(service, session),
        session.guardian,
    )


VisitorDep = Annotated[Visitor, Depends(visitor)]


async def person_alone(who: VisitorDep) -> Visitor:
    """Return the person themselves; a refusal for a guardian, who chooses for them and sees nothing of what they do."""
    if who.guardian is not None:
        raise Refusal(403, "person_alone")
    return who


PersonDep = Annotated[Visitor, Depends(person_alone)]


def _csrf(service: Service, session: Token) -> str:
    key = derived_key(service.settings.secret_bytes, "forms")
    return hmac.digest(key, session.nonce, hashlib.sha256).hex()


def is_foreign(request: Request, public_url: str) -> bool:
    """Tell whether another site made the browser send a form.

    Pages send no referrer, so that browsers write `Origin: null` even for their own forms; `Sec-Fetch-Site` tells
    those from forms of others. Browsers without it are held by the form's own token alone.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return True
    public = urlsplit(public_url)
    own = {f"{public.scheme}://{public.netloc}", f"{request.url.scheme}://{request.url.netloc}", "null"}
    return request.headers.get("origin", "null") not in own


async def read_form(request: Request) -> FormData:
    """Read a form; a refusal when the body is not one."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in FORM_TYPES:
        raise Refusal(400, "not_understood")
    try:
        return await request.form(max_fields=_MOST_FIELDS, max_files=0)
    except HTTPException as error:
        if error.status_code != HTTPStatus.BAD_REQUEST:
            raise
        raise Refusal(400, "not_understood") from None


async def own_form(request: Request, who: VisitorDep) -> FormData:
    """Return a form that this person's own page sent; a refusal for any other."""
    form = await read_form(request)
    foreign = is_foreign(request, service_of(request).settings.public_url)
    if foreign or not hmac.compare_digest(str(form.get("csrf", "")).encode(), who.csrf.encode()):
        raise Refusal(403, "foreign")
    return form


FormDep = Annotated[FormData, Depends(own_form)]

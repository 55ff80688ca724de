"""Deleting everything: from the consent page, or by a link that needs neither a session nor a key."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Path, Request, Response

from api import erasing, people, store
from api.answers import ErasedOut
from api.pages import erased, sessions
from api.pages.serving import PageRoute, Refusal, page, see_other, service_of, wants_html
from api.pages.sessions import FormDep, PersonDep, read_form, still_meant
from api.problems import Problem, declared, invalid
from api.replaying import ensure_replayed
from api.service import Service
from api.tokens import BadToken, Kind, Token
from consent.erasure import Erasure
from consent.store import app_name

leaving = APIRouter(route_class=PageRoute, include_in_schema=False)
one_click = APIRouter(route_class=PageRoute, tags=["deletion"])

FIELD, VALUE = "erase", "One-Click"


@leaving.get("/me/delete")
async def ask(request: Request, who: PersonDep) -> Response:
    """Say what goes, what cannot be undone, and how long it takes; a GET deletes nothing."""
    return page(
        request,
        "delete.html",
        who=who,
        action="/me/delete",
        hours=service_of(request).settings.erasure_deadline_h,
        backup_days=service_of(request).settings.backup_lifetime_d,
    )


@leaving.post("/me/delete")
async def delete(request: Request, who: PersonDep, form: FormDep) -> Response:  # noqa: ARG001  the form's check is what is wanted
    """Delete the person, end their session, and lead to the page of the deletion, which can be opened again."""
    service = service_of(request)
    async with service.database.write(who.app_id) as connection:
        done = await erasing.erase(service, connection, who.app_id, who.user_hash)
    await service.database.scrub()
    response = see_other(request, erased.path_of(service, done))
    sessions.end(service, response)
    return response


@leaving.get("/erase/{token}")
async def ask_by_link(request: Request, token: str) -> Response:
    """Show the button, and nothing else: mail scanners follow links too."""
    service = service_of(request)
    await ensure_replayed(service)
    opened = _open(service, token)
    async with service.database.read(opened.app_id) as connection:
        dead = await store.link_was_used(connection, opened.nonce) or not await still_meant(
            connection, opened
        )
        name = await app_name(connection, opened.app_id)
    if dead:
        raise Refusal(410, "link_over")
    return page(
        request,
        "delete.html",
        who=None,
        app_name=name or opened.app_id,
        action=None,
        field=FIELD,
        value=VALUE,
        hours=service.settings.erasure_deadline_h,
        backup_days=service.settings.backup_lifetime_d,
    )


_FORM = {"type": "object", "required": [FIELD], "properties": {FIELD: {"type": "string", "const": VALUE}}}


@one_click.post(
    "/erase/{token}",
    summary="Delete a person by their link",
    responses={
        200: {"model": ErasedOut, "description": "The erasure"},
        **declared(400, 404, 410, 413, 422, 503),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {media_type: {"schema": _FORM} for media_type in sessions.FORM_TYPES},
        }
    },
)
async def delete_by_link(
    request: Request, token: Annotated[str, Path(description="The last part of an `erase_url`")]
) -> Response:
    """Delete everything about the person whose link this is, once.

    In the manner of RFC 8058: a POST with the form field `erase=One-Click` needs no cookie and no key.
    Browsers that ask for HTML get a page, everyone else JSON.
    """
    html = wants_html(request)
    try:
        service = service_of(request)
        await ensure_replayed(service)
        opened = _open(service, token)
        form = await read_form(request)
        if form.multi_items() != [(FIELD, VALUE)]:
            raise invalid(FIELD, f"must be {VALUE}, and the only field")
        done, name = await _erase_once(service, opened)
    except Refusal as refused:
        if html:
            raise
        raise _problem(refused) from None
    path = erased.path_of(service, done)
    if html:  # and no redirect, which RFC 8058 forbids
        return erased.show(request, done, name, path)
    document = {**people.erasure_json(done), "page_url": service.settings.public_url + path}
    return Response(orjson.dumps(document), media_type="application/json")


def _problem(refused: Refusal) -> Problem:
    code, detail = {
        "link_unknown": ("not_found", "this link does not work (any more)"),
        "link_over": ("link_over", "this link was used already, or is over"),
        "not_understood": ("malformed_body", "the body is not a form"),
    }[refused.name]
    return Problem(refused.status, code, detail)


def _open(service: Service, token: str) -> Token:
    try:
        return service.tokens.open(token, Kind.ERASE, service.clock())
    except BadToken:
        raise Refusal(404, "link_unknown") from None


async def _erase_once(service: Service, opened: Token) -> tuple[Erasure, str]:
    async with service.database.write(opened.app_id) as connection:
        first = await store.use_link(connection, opened.nonce, opened.expires_at, service.clock())
        if not first or not await still_meant(connection, opened):
            raise Refusal(410, "link_over")
        done = await erasing.erase(service, connection, opened.app_id, opened.user_hash)
        name = await app_name(connection, opened.app_id)
    await service.database.scrub()
    return done, name or opened.app_id

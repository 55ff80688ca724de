"""`/v1/users/{user_id}/prompts` and `/age-band`: whether a person may be asked now, what they were shown, who answers for them."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api import deciding, people
from api.deciding import AgeBandOut, PromptOut, PromptsOut
from api.dependencies import RETRIED, ServiceDep, UserId, accepts, json_body, requires
from api.idempotency import json_response, once
from api.keys import Caller, Scope
from api.problems import declared, invalid
from api.requests import ActorIn, AgeBandRequest, PromptRequest
from api.service import Service
from consent import prompts
from consent.ledger import SELF, Actor
from consent.minors import AgeBand
from consent.prompts import Prompt
from consent.purposes import Purpose
from consent.receipts.records import rfc3339
from consent.registrar import Changed

router = APIRouter(prefix="/v1", tags=["consent"])
ConsentCaller = Annotated[Caller, Depends(requires(Scope.CONSENT))]


def acting(service: Service, app_id: str, actor: ActorIn) -> Actor:
    """Return who acts, with a keyed hash in place of a guardian's id."""
    if (actor.type == "guardian") != (actor.id is not None):
        raise invalid("actor.id", "a guardian needs an id, the person themselves has none")
    return Actor(actor.type, service.pseudonyms.guardian(app_id, actor.id)) if actor.id else SELF


@router.get(
    "/users/{user_id}/prompts",
    summary="Whether a person may be asked now",
    responses={200: {"model": PromptsOut}, **declared(401, 403, 422, 503)},
)
async def may_ask(service: ServiceDep, caller: ConsentCaller, user_id: UserId) -> Response:
    """For every cell whether the app may ask about it now, and else from when on.

    A no, a closed question and a question without an answer each leave the person in peace for a time.
    """
    user_hash = service.pseudonyms.user(caller.app_id, user_id)
    async with service.database.read(caller.app_id) as connection:
        cells = await people.cells(service, connection, caller.app_id, user_hash)
        band = await people.age_band(connection, caller.app_id, user_hash)
        notices = await service.board.of(connection, caller.app_id)
    found = [prompts.askable(cell, band, service.clock(), service.minors, service.quiet) for cell in cells]
    document = {
        "may_ask": any(each.may_ask for each in found),
        "ask": "guardian" if service.minors.needs_guardian(band) else "person",
        "notice_version": notices.current_version,
        "as_of": people.as_of(cells),
        "cells": [deciding.askable(each) for each in found],
    }
    return json_response(200, orjson.dumps(document))


@router.post(
    "/users/{user_id}/prompts",
    status_code=201,
    summary="Record that a person is asked",
    openapi_extra=accepts(PromptRequest) | RETRIED,
    responses={201: {"model": PromptOut}, **declared(400, 401, 403, 409, 413, 422, 503)},
)
async def ask(
    http: Request,
    service: ServiceDep,
    caller: ConsentCaller,
    user_id: UserId,
    body: Annotated[PromptRequest, Depends(json_body(PromptRequest))],
) -> Response:
    """Record what is about to be shown, where and for which cells, before it is shown.

    409 when the person is to be left in peace about one of the cells: then show nothing. Send `prompt_id` with what
    they choose; without a choice, or when they close the question, nothing is granted.
    """
    user_hash = service.pseudonyms.user(caller.app_id, user_id)
    named = [(cell.signal, Purpose(cell.purpose)) for cell in body.cells]
    if len(set(named)) < len(named):
        raise invalid("cells", "the same signal and purpose stand there twice")
    prompt = Prompt(
        cells=named,
        notice_version=body.notice_version,
        locale=body.locale,
        place=body.place,
        method=body.method,
        own_wish=body.own_wish,
        actor=acting(service, caller.app_id, body.actor),
    )

    async def work(connection: AsyncConnection) -> tuple[int, dict[str, Any]]:
        writer = await people.registrar(service, connection, caller.app_id)
        done = await prompts.record(
            connection, user_hash, prompt, now=service.clock(), registrar=writer, quiet=service.quiet
        )
        shown_at = rfc3339(done.shown_at)
        return 201, {"prompt_id": done.prompt_id, "shown_at": shown_at, "receipt": done.receipt}

    return await once(service, http, caller, work, body=body.model_dump_json().encode(), user_hash=user_hash)


@router.get(
    "/users/{user_id}/age-band",
    summary="What the app told of a person's age",
    responses={200: {"model": AgeBandOut}, **declared(401, 403, 422, 503)},
)
async def age_band(service: ServiceDep, caller: ConsentCaller, user_id: UserId) -> Response:
    """The band, and what follows from it for who may turn things on."""
    user_hash = service.pseudonyms.user(caller.app_id, user_id)
    async with service.database.read(caller.app_id) as connection:
        band = await people.age_band(connection, caller.app_id, user_hash)
    return json_response(200, orjson.dumps(_age_json(service, band, None)))


@router.put(
    "/users/{user_id}/age-band",
    summary="Tell how old a person is",
    openapi_extra=accepts(AgeBandRequest) | RETRIED,
    responses={200: {"model": AgeBandOut}, **declared(400, 401, 403, 409, 413, 422, 503)},
)
async def mark_age(
    http: Request,
    service: ServiceDep,
    caller: ConsentCaller,
    user_id: UserId,
    body: Annotated[AgeBandRequest, Depends(json_body(AgeBandRequest))],
) -> Response:
    """Record a person's age band. What may not stand with it ends in the same transaction.

    A minor's own grants end, and when someone comes of age, their guardian's do.
    """
    user_hash = service.pseudonyms.user(caller.app_id, user_id)

    async def work(connection: AsyncConnection) -> tuple[int, dict[str, Any]]:
        band = AgeBand(body.age_band)
        changed = await people.mark_age(service, connection, caller.app_id, user_hash, band)
        return 200, _age_json(service, band, changed)

    answer = await once(
        service, http, caller, work, body=body.model_dump_json().encode(), user_hash=user_hash
    )
    await service.database.scrub()
    return answer


def _age_json(service: Service, band: AgeBand | None, ended: Changed | None) -> dict[str, Any]:
    return {
        "age_band": band,
        "guardian_needed": service.minors.needs_guardian(band),
        "profiling_allowed": service.minors.allows(band, Purpose.PERSONALISE),
        "receipt": None if ended is None else ended.receipt,
    }

"""Nothing free-form is kept of a person: every column that could hold a text is accounted for, and nothing comes in that could be one."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import LargeBinary, String

from api import requests
from api.dependencies import USER_ID
from api.requests import SCREEN_WORDS
from api.service import PERSONAL_STORES, Service
from consent.tables import metadata
from tests.api import witness
from tests.api.calls import PROMPT
from tests.api.full import live_fully
from tests.api.witness import ON_SQLITE
from tests.conftest import Caller

MADE, KEYED, CLOSED, OURS, APPS, COMPOSED = "made", "keyed", "closed", "ours", "apps", "composed"
"""What a column of text or bytes holds: a random number, a keyed hash or signature, a word of a closed list, a word of the service or
its notices, an id or a few words that the app chose (of limited length), a document that the service composed of these."""

TEXTS: Mapping[str, Mapping[str, str]] = {
    "event": {"app_id": OURS, "event_id": APPS, "subject_id": MADE, "signal": CLOSED, "resource_id": APPS, "topic": APPS},
    "idempotent_answer": {"app_id": OURS, "key_hash": KEYED, "request_hash": KEYED, "body": COMPOSED, "user_hash": KEYED},
    "webhook_delivery": {
        "app_id": OURS, "subscription_id": MADE, "message_id": MADE, "type": CLOSED, "status": CLOSED, "subject_id": MADE,
        "stream": MADE, "body": COMPOSED, "result": OURS,
    },
    "log_key": {"app_id": OURS, "subject_id": MADE, "key": MADE},
    "subject": {"app_id": OURS, "subject_id": MADE, "user_hash": KEYED, "age_band": CLOSED},
    "receipt": {"app_id": OURS, "receipt_id": MADE, "subject_id": MADE, "body": COMPOSED, "jws": KEYED},
    "consent_cell": {
        "app_id": OURS, "subject_id": MADE, "purpose": CLOSED, "signal": CLOSED, "state": CLOSED, "notice_version": OURS,
        "receipt_id": MADE, "actor_type": CLOSED,
    },
    "consent_event": {
        "app_id": OURS, "subject_id": MADE, "signal": CLOSED, "purpose": CLOSED, "state": CLOSED, "notice_version": OURS,
        "notice_sha256": OURS, "locale": OURS, "method": APPS, "actor_type": CLOSED, "actor": KEYED, "receipt_id": MADE,
        "prompt_id": MADE, "place": APPS, "shown": CLOSED,
    },
}  # fmt: skip
"""Every column of a table of persons that could hold a text. A new one goes here, and encrypted under the person's key if it is free-form."""

ABOUT_PEOPLE: tuple[type[BaseModel], ...] = (
    requests.EventBatch,
    requests.ConsentRequest,
    requests.PromptRequest,
    requests.AgeBandRequest,
    requests.LinkRequest,
    requests.WhatIfRequest,
)
"""Everything that an app sends about a person."""


def texts_of(table: str) -> set[str]:
    """The columns of a table that could hold a text."""
    return {
        column.name
        for column in metadata.tables[table].c
        if isinstance(column.type, String | LargeBinary)
    }  # fmt: skip


def test_every_column_that_could_hold_a_text_is_accounted_for() -> None:
    """Of each table of persons, every column of text or bytes is declared with what it holds; the others are numbers and times."""
    tables = {table for store in PERSONAL_STORES for table in store.tables}
    assert tables == set(TEXTS)
    assert {table: texts_of(table) for table in tables} == {table: set(TEXTS[table]) for table in tables}


def strings(schema: Any, known: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every string that a JSON Schema lets in, wherever it stands."""
    if isinstance(schema, list):
        for each in schema:
            yield from strings(each, known)
    elif isinstance(schema, dict):
        if "$ref" in schema:
            yield from strings(known[schema["$ref"].rpartition("/")[2]], known)
        elif schema.get("type") == "string":
            yield schema
        else:
            assert schema.get("type") != "object" or "properties" in schema
            yield from strings(list(schema.get("properties", {}).values()), known)
            for name in ("items", "anyOf", "oneOf", "allOf"):
                yield from strings(schema.get(name), known)


def is_free(string: Mapping[str, Any]) -> bool:
    """Whether somebody's sentence fits into a string: it is no list of words, no time, and takes white space or any length."""
    if "enum" in string or "const" in string or string.get("format") == "date-time":
        return False
    pattern, longest = string.get("pattern", ""), string.get("maxLength", 1_000)
    return any(
        re.search(pattern, text) and len(text) <= longest
        for text in ("i feel low", "i\tfeel", "é", "x" * 200)
    )


@pytest.mark.parametrize("model", ABOUT_PEOPLE)
def test_no_request_about_a_person_takes_a_sentence(model: type[BaseModel]) -> None:
    """Each string that comes in is of a closed list, a time, an id without white space, or the app's name for a screen of its own."""
    schema = model.model_json_schema()
    found = list(strings(schema, schema.get("$defs", {})))
    assert found
    assert [each for each in found if is_free(each) and each.get("pattern") != SCREEN_WORDS] == []


def test_a_sentence_would_be_noticed() -> None:
    """The check finds a text of any kind, within lists and behind alternatives, and one whose pattern takes white space."""

    class Diary(BaseModel):
        entries: list[str | None]

    schema = Diary.model_json_schema()
    assert [is_free(each) for each in strings(schema, {})] == [True]
    assert is_free({"pattern": "^[a-z ]{1,64}$"})
    assert is_free({"pattern": "^[a-z]+$"})
    assert not is_free({"pattern": USER_ID})


def leaves(value: Any) -> Iterator[str]:
    """Every string within a value; of a document in JSON those within it."""
    if isinstance(value, bytes | str):
        try:
            document = json.loads(value)
        except ValueError:
            document = None
        if isinstance(document, dict | list):
            yield from leaves(document)
        elif isinstance(value, str):
            yield value
    elif isinstance(value, dict):
        yield from (each for part in value.values() for each in leaves(part))
    elif isinstance(value, list):
        yield from (each for part in value for each in leaves(part))


@ON_SQLITE
async def test_what_is_kept_holds_no_sentence_of_its_own(
    service: Service, client: Caller, database_url: str
) -> None:
    """Wherever white space stands in a person's rows, it is the service's own text, the same in everybody's."""
    sentences: list[set[str]] = []
    for user_id in ("u1", "u2"):
        assert (await client.post(f"/v1/users/{user_id}/prompts", PROMPT)).status_code == 201
        who = await live_fully(service, client, user_id)
        rows = await witness.everything(database_url)
        mine = [
            row
            for table in TEXTS
            for row in rows[table]
            if row.get("subject_id") == who.subject_id or row.get("user_hash") == who.user_hash
        ]
        assert {table for table in TEXTS if not any(row in mine for row in rows[table])} == set()
        sentences.append({text for row in mine for text in leaves(row) if re.search(r"\s", text)})
    assert sentences[0] == sentences[1]

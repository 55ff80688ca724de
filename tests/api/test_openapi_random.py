"""Calls at random, made from the OpenAPI document: each answer is one that the document declares, and no fault of ours."""

import random
import string
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI

from api import answers
from api.problems import ProblemDetails
from tests.api.test_openapi import operations
from tests.api.witness import ON_SQLITE
from tests.conftest import Caller, event

ROUNDS = 12
"""How often each operation is called, by each seed."""
JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 10**30, 1e308, "", "\u0000", "🌊", "a" * 5_000, "' OR 1=1 --", "../../x", [], {}, [[]], {"a": None},
    "2026-02-30T00:00:00Z", "-0001-01-01", "NaN",
)  # fmt: skip
NAMES = {
    "user_id": ["u1", "u2"], "resource_id": ["box-breathing", "no-such"], "locale": ["en", "es", "xx"],
    "release_id": ["r-0"], "receipt_id": ["0" * 32], "erasure_id": ["0" * 32], "subscription_id": ["0" * 32],
}  # fmt: skip
"""What often stands in a path, so that calls come past it."""
MODELS = {model.__name__: model for model in answers.MODELS}


class Maker:
    """Makes values of a schema, mostly such as it allows."""

    def __init__(self, document: dict[str, Any], chance: random.Random) -> None:
        self.document = document
        self.chance = chance

    def value(self, schema: dict[str, Any]) -> Any:
        """A value; one in twenty is something else entirely."""
        chance = self.chance
        if "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        for several in ("anyOf", "oneOf", "allOf"):
            if several in schema and "properties" not in schema:
                return self.value(chance.choice(schema[several]))
        if chance.random() < 0.05:
            return chance.choice(JUNK)
        known = [schema["const"]] if "const" in schema else schema.get("enum")
        if known is None and chance.random() < 0.7:
            known = schema.get("examples")
        return chance.choice(known) if known else self._of_type(schema)

    def _of_type(self, schema: dict[str, Any]) -> Any:
        makers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": lambda told: self.chance.randint(told.get("minimum", -5), told.get("maximum", 200)),
            "number": lambda told: self.chance.uniform(told.get("minimum", -5), told.get("maximum", 200)),
            "boolean": lambda _: self.chance.random() < 0.5,
            "null": lambda _: None,
        }
        kind = schema.get("type")
        return makers[kind](schema) if kind else self.chance.choice(JUNK)

    def _array(self, schema: dict[str, Any]) -> list[Any]:
        count = self.chance.randint(schema.get("minItems", 0), min(schema.get("maxItems", 3), 3))
        return [self.value(schema.get("items", {})) for _ in range(count)]

    def _string(self, schema: dict[str, Any]) -> str:
        least = schema.get("minLength", 0)
        size = self.chance.randint(least, max(least, min(schema.get("maxLength", 20), 20)))
        return "".join(self.chance.choices(string.ascii_lowercase + "-_. ", k=size))

    def _object(self, schema: dict[str, Any]) -> dict[str, Any]:
        chance, needed = self.chance, schema.get("required", ())
        made = {
            name: self.value(each)
            for name, each in schema.get("properties", {}).items()
            if chance.random() < (0.98 if name in needed else 0.4)
        }
        return made if chance.random() < 0.97 else {**made, "unheard_of": chance.choice(JUNK)}


def asked(maker: Maker, name: str, operation: dict[str, Any]) -> dict[str, Any]:
    """One call of an operation, as the HTTP client takes it."""
    method, _, path = name.partition(" ")
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    for each in operation.get("parameters", []):
        value = str(maker.value(each["schema"]))
        if each["in"] == "path":
            known = NAMES.get(each["name"], [])
            usual = known and maker.chance.random() < 0.8
            value = maker.chance.choice(known) if usual else value.replace("/", "").strip(".") or "x"
            path = path.replace("{" + each["name"] + "}", quote(value, safe=""))
        elif each["in"] == "query" and (each.get("required") or maker.chance.random() < 0.4):
            query[each["name"]] = value
        elif each["in"] == "header" and maker.chance.random() < 0.2:
            headers[each["name"]] = quote(value)[:300]
    made = {"method": method, "url": path, "params": query, "headers": headers}
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return made if body is None else {**made, "json": maker.value(body["schema"])}


@ON_SQLITE
@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_asked_the_answer_was_declared(
    app: FastAPI, client: Caller, database_url: str, seed: int
) -> None:
    """No 5xx, no status that the document lacks, every error a problem, every success of the fields that were declared."""
    document = app.openapi()
    maker = Maker(document, random.Random(seed))
    await client.consent("u1", "views", "saves")
    await client.events(event("u1", "views", "box-breathing"))
    statuses: set[int] = set()
    succeeded: set[str] = set()
    for _ in range(ROUNDS):
        for name, operation in operations(document):
            if not name.partition(" ")[2].startswith("/v1/"):
                continue
            call = asked(maker, name, operation)
            answer = await client.http.request(**call)
            about = f"{name} {call} -> {answer.status_code} {answer.text[:500]}"
            told = operation["responses"]
            assert answer.status_code < 500, about
            assert str(answer.status_code) in told, about
            statuses.add(answer.status_code)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json", about
                ProblemDetails.model_validate_json(answer.content)
                continue
            succeeded.add(name)
            schema = (
                told[str(answer.status_code)].get("content", {}).get("application/json", {}).get("schema")
            )
            model = MODELS.get((schema or {}).get("$ref", "").rpartition("/")[2])
            if model is not None:
                validated = model.model_validate_json(answer.content)
                assert validated.model_dump(mode="json", exclude_unset=True) == answer.json(), about
    assert {200, 201, 404, 422} <= statuses
    assert len(succeeded) >= 20, sorted(succeeded)

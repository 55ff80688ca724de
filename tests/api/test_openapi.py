"""The OpenAPI document is complete and true: everything described, every example valid, every answer as declared."""

import json
from collections.abc import Iterator
from typing import Annotated, Any, get_args

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, TypeAdapter

from api import answers, requests
from api.problems import FieldProblem, ProblemDetails
from tests.api.calls import CALLS, CONSENT, RESOURCE, SUBSCRIPTION, Call
from tests.api.witness import ON_SQLITE
from tests.conftest import Caller, event

RETRIED = {f"{call.method} {call.template}" for call in CALLS if call.method != "GET"}
"""Operations that take an Idempotency-Key: every POST, PUT and DELETE with a key."""


@pytest.fixture
def document(app: FastAPI, database_url: str) -> dict[str, Any]:
    """The document, as it is served."""
    made: dict[str, Any] = json.loads(json.dumps(app.openapi()))
    return made


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation with its name."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def references(node: Any) -> Iterator[str]:
    """Every reference within the document."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for each in node.values():
            yield from references(each)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


@ON_SQLITE
async def test_the_document_holds_together(document: dict[str, Any], client: Caller) -> None:
    """It is served as it is made; references lead somewhere, operations have names of their own, paths name their parameters."""
    assert (await client.get("/openapi.json")).json() == document
    assert document["openapi"].startswith("3.1.")
    for reference in set(references(document)):
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for name, operation in operations(document):
        told = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
        assert told == {part[1:].partition("}")[0] for part in name.split("/") if part.startswith("{")}, name


@ON_SQLITE
def test_every_call_of_the_contract_is_in_it(document: dict[str, Any]) -> None:
    """What is answered with a key is documented, and says that it takes one; what needs none says nothing of it."""
    told = dict(operations(document))
    for call in CALLS:
        operation = told[f"{call.method} {call.template}"]
        assert bool(operation.get("security")) == (call.scope is not None), call
        assert bool(operation.get("requestBody")) == (call.body is not None), call


@ON_SQLITE
def test_every_operation_is_described(document: dict[str, Any]) -> None:
    """A summary, a description, what comes back, and each error as problem+json."""
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        for status, response in operation["responses"].items():
            about = f"{name} {status}"
            assert response["description"], about
            if status.startswith("2") and status != "204":
                kinds = response["content"]
                assert all(kind["schema"] for kind in kinds.values()), about
            if status.startswith(("4", "5")) and name != "GET /readyz":
                (kind,) = response["content"]
                assert kind == "application/problem+json", about
        if operation.get("security"):
            expected = {"401", "403", "429", "503"} | (
                {"400", "413", "422"} if operation.get("requestBody") else set()
            )
            assert expected <= set(operation["responses"]), name
        told = {parameter["name"] for parameter in operation.get("parameters", [])}
        assert ("Idempotency-Key" in told) == (name in RETRIED), name
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), (name, parameter["name"])


@ON_SQLITE
def test_every_field_is_described(document: dict[str, Any]) -> None:
    """Each property of each schema says what it is; plain ones have an example."""
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description") or schema.get("enum"), name
        for field, told in schema.get("properties", {}).items():
            about = f"{name}.{field}"
            assert told.get("description"), about
            if not set(references(told)) - plain(document):
                assert told.get("examples"), about


def plain(document: dict[str, Any]) -> set[str]:
    """References to schemas that are a closed list of words."""
    schemas = document["components"]["schemas"]
    return {f"#/components/schemas/{name}" for name, schema in schemas.items() if schema.get("enum")}


def models(model: Any, seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    """A model and all those within it."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        if model not in seen:
            seen.add(model)
            for field in model.model_fields.values():
                models(field.annotation, seen)
        return seen
    for part in get_args(model):
        models(part, seen)
    return seen


def test_every_example_is_valid() -> None:
    """The examples of every field, coming in and going out, are what the field accepts."""
    seen: set[type[BaseModel]] = set()
    for outer in (*requests.MODELS, *answers.MODELS, ProblemDetails, FieldProblem):
        models(outer, seen)
    examples = 0
    for model in seen:
        for field in model.model_fields.values():
            annotated: Any = Annotated[field.annotation, None, *field.metadata]
            accepted: TypeAdapter[Any] = TypeAdapter(annotated)
            for example in field.examples or ():
                accepted.validate_json(json.dumps(example), strict=model.model_config.get("strict"))
                examples += 1
    assert examples > 100


def declared(document: dict[str, Any], call: Call, status: int) -> type[BaseModel] | None:
    """The model that the document declares for an answer; None where it declares no fields."""
    told = dict(operations(document))[f"{call.method} {call.template}"]["responses"]
    assert str(status) in told, (call, status)
    content = told[str(status)].get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    return {model.__name__: model for model in answers.MODELS}.get(name)


@ON_SQLITE
async def test_answers_are_what_was_declared(document: dict[str, Any], client: Caller) -> None:
    """Each call that succeeds answers with a declared status and, field by field, with what its schema says and no more."""
    await client.http.put("/v1/resources/tea-and-a-window", json=RESOURCE)
    changed = await client.http.put("/v1/users/u1/consents", json=CONSENT)
    await client.events(event("u1", "views", "box-breathing"))
    erasure = (await client.http.delete("/v1/users/u2")).json()["erasure"]
    listens = (await client.post("/v1/subscriptions", SUBSCRIPTION)).json()
    names = {
        "receipt_id": changed.json()["receipt"]["receipt_id"],
        "erasure_id": erasure["erasure_id"],
        "subscription_id": listens["subscription_id"],
    }
    checked = 0
    # What removes comes last, or there would be nothing to see.
    for call in sorted(CALLS, key=lambda call: call.method == "DELETE"):
        path = call.path(**{name: value for name, value in names.items() if name in call.names})
        answer = await client.http.request(call.method, path, json=call.body)
        model = declared(document, call, answer.status_code)
        if model is not None:
            validated = model.model_validate_json(answer.content)
            assert validated.model_dump(mode="json", exclude_unset=True) == answer.json(), call
            checked += 1
        elif answer.status_code >= 400:
            problem = ProblemDetails.model_validate_json(answer.content)
            assert problem.model_dump(exclude_unset=True) == answer.json(), call
    assert checked >= 22


@ON_SQLITE
@pytest.mark.parametrize("explain", ["none", "short", "full"])
async def test_lists_are_what_was_declared(client: Caller, explain: str) -> None:
    """A list of every depth of explanation has the declared fields and no more."""
    await client.consent("u1", "views")
    await client.events(event("u1", "views", "box-breathing"))
    answer = await client.recommend("u1", explain=explain, context={"topics": ["sleep"], "region": "GB"})
    validated = answers.Recommendations.model_validate_json(json.dumps(answer))
    assert validated.model_dump(mode="json", exclude_unset=True) == answer

"""Reading an OpenAPI 3.1 document for people: operations, what goes in and out, and an example of each body.

What is read is the document that this service makes of itself (`/openapi.json`), never one from elsewhere.
"""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

Schema = Mapping[str, Any]
"""A JSON Schema, as it lies in the document."""

_LIMITS = (
    ("minimum", "at least {}"), ("maximum", "at most {}"), ("exclusiveMinimum", "more than {}"),
    ("exclusiveMaximum", "less than {}"), ("minLength", "{} or more characters"),
    ("maxLength", "{} characters at most"), ("minItems", "{} or more of them"), ("maxItems", "{} of them at most"),
    ("minProperties", "{} or more of them"), ("maxProperties", "{} of them at most"), ("format", "{}"),
    ("pattern", "matches {}"),
)  # fmt: skip
_NAMES = {"string": "text", "integer": "whole number", "object": "object", "null": "null"}
_ANY = {"string": "text", "integer": 1, "number": 1, "boolean": True}
_REFERENCE = "#/components/schemas/"


@dataclass(frozen=True)
class Field:
    """One value that goes in or comes out."""

    name: str
    kind: Markup
    required: bool
    about: str
    limits: tuple[str, ...]
    example: str | None
    place: str = ""
    """Of a parameter: path, query or header."""


@dataclass(frozen=True)
class Part:
    """A named schema."""

    name: str
    kind: Markup
    about: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Answer:
    """What an operation may answer."""

    status: str
    about: str
    bodies: tuple[tuple[str, Markup], ...]
    """Media types, each with what its body is."""


@dataclass(frozen=True)
class Operation:
    """One call."""

    anchor: str
    method: str
    path: str
    title: str
    about: str
    needs_key: bool
    parameters: tuple[Field, ...]
    bodies: tuple[tuple[str, Markup], ...]
    """Media types that it takes, each with what the body is."""
    answers: tuple[Answer, ...]
    example: str
    """The call, for a shell."""


@dataclass(frozen=True)
class Group:
    """Operations about one thing."""

    name: str
    operations: tuple[Operation, ...]


def groups(document: Mapping[str, Any], url: str) -> list[Group]:
    """Return the document's operations by their first tag, in its order; `url` is where examples send them."""
    found: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            tag = next(iter(told.get("tags", ())), "other")
            found.setdefault(tag, []).append(_operation(document, url, path, method, told))
    return [Group(name, tuple(operations)) for name, operations in found.items()]


def parts(document: Mapping[str, Any]) -> list[Part]:
    """Return the document's named schemas by name."""
    return [_part(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]


def example(document: Mapping[str, Any], schema: Schema) -> Any:
    """Return a value that a schema allows: its own example, else what is required of it, field by field."""
    if "$ref" in schema:
        return example(document, _resolved(document, schema))
    shown = [schema[name] for name in ("example", "const", "default") if name in schema]
    if all_shown := [*schema.get("examples", ()), *schema.get("enum", ()), *shown]:
        return all_shown[0]
    for name in ("anyOf", "oneOf"):
        if name in schema:
            return example(document, schema[name][0])
    if schema.get("type") == "array":
        return [example(document, schema["items"])]
    if (kind := schema.get("type")) in _ANY:
        return _ANY[kind]
    properties = schema.get("properties", {})
    return {name: example(document, properties[name]) for name in schema.get("required", ())}


def _operation(
    document: Mapping[str, Any], url: str, path: str, method: str, told: Mapping[str, Any]
) -> Operation:
    parameters = tuple(_parameter(each) for each in told.get("parameters", ()))
    return Operation(
        anchor=told["operationId"],
        method=method.upper(),
        path=path,
        title=told.get("summary", ""),
        about=told.get("description", ""),
        needs_key=bool(told.get("security")),
        parameters=parameters,
        bodies=_bodies(told.get("requestBody", {})),
        answers=tuple(_answer(status, each) for status, each in sorted(told["responses"].items())),
        example=_call(document, url, path, method, told),
    )


def _parameter(told: Mapping[str, Any]) -> Field:
    schema = told.get("schema", {})
    shown = told.get("example", next(iter(schema.get("examples", ())), None))
    about = told.get("description", "")
    return _field(told["name"], schema, required=told.get("required", False), about=about, shown=shown, place=told["in"])  # fmt: skip


def _answer(status: str, told: Mapping[str, Any]) -> Answer:
    about = told.get("description", "")
    if about == "Successful Response":  # what FastAPI says where nobody said anything
        about = HTTPStatus(int(status)).phrase
    return Answer(status, about, _bodies(told))


def _bodies(told: Mapping[str, Any]) -> tuple[tuple[str, Markup], ...]:
    return tuple((media, _kind(each.get("schema", {}))) for media, each in told.get("content", {}).items())


def _call(document: Mapping[str, Any], url: str, path: str, method: str, told: Mapping[str, Any]) -> str:
    """Return an operation as a call of curl, with the examples of what it requires."""
    query = []
    for each in told.get("parameters", ()):
        if not each.get("required"):
            continue
        shown = str(example(document, each if "example" in each else each["schema"]))
        if each["in"] == "path" and (each.keys() | each["schema"].keys()) & {"example", "examples"}:
            path = path.replace(f"{{{each['name']}}}", shown)
        elif each["in"] == "query":
            query.append(f"{each['name']}={shown}")
    address = url + path + ("?" + "&".join(query) if query else "")
    lines = ["curl" + ("" if method == "get" else f" -X {method.upper()}") + f" {shlex.quote(address)}"]
    if told.get("security"):
        lines.append('-H "Authorization: Bearer $KEY"')
    for media, each in told.get("requestBody", {}).get("content", {}).items():
        lines.append(f"-H 'Content-Type: {media}'")
        body = example(document, each.get("schema", {}))
        form = media == "application/x-www-form-urlencoded"
        written = urlencode(body) if form else json.dumps(body, indent=2, ensure_ascii=False)
        lines.append(f"-d {shlex.quote(written)}")
        break
    return " \\\n  ".join(lines)


def _part(name: str, schema: Schema) -> Part:
    required = set(schema.get("required", ()))
    fields = tuple(
        _field(field, told, required=field in required, about=told.get("description", ""),
               shown=next(iter(told.get("examples", ())), None))
        for field, told in schema.get("properties", {}).items()
    )  # fmt: skip
    return Part(name, _kind(schema), schema.get("description", ""), fields)


def _field(name: str, schema: Schema, *, required: bool, about: str, shown: Any, place: str = "") -> Field:
    example_text = None if shown is None else shown if isinstance(shown, str) else json.dumps(shown)
    return Field(name, _kind(schema), required, about, tuple(_limits(schema)), example_text, place)


def _limits(schema: Schema) -> Iterator[str]:
    for each in (schema, schema.get("items", {}), *schema.get("anyOf", ())):
        for name, text in _LIMITS:
            if name in each:
                yield text.format(each[name])
    if schema.get("default") is not None and not isinstance(schema["default"], dict):
        yield f"{json.dumps(schema['default'])} when left out"


def _kind(schema: Schema) -> Markup:
    """Return in words what a schema allows, with links to those it names."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REFERENCE)
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return Markup(" or ").join(_kind(each) for each in schema[several])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return Markup(" or ").join(Markup("<code>{}</code>").format(json.dumps(each)) for each in values)
    kind = schema.get("type", "any value")
    if kind == "array":
        return Markup("list of {}").format(_kind(schema.get("items", {})))
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return Markup("object whose values are {}").format(_kind(schema["additionalProperties"]))
    return Markup("{}").format(_NAMES.get(kind, kind))


def _resolved(document: Mapping[str, Any], schema: Schema) -> Schema:
    found: Schema = document["components"]["schemas"][schema["$ref"].removeprefix(_REFERENCE)]
    return found

"""The API's documentation at `/docs`: all of the OpenAPI document, and nobody's script."""

import html
import json
import re
import shlex
from typing import Any

import pytest
from fastapi import FastAPI

from api import requests
from api.pages import openapi
from api.pages.serving import HEADERS
from tests.api.calls import CALLS
from tests.api.pages.conftest import ORIGIN, Browser
from tests.api.witness import ON_SQLITE


@ON_SQLITE
async def test_it_runs_no_script_and_loads_nothing_from_elsewhere(browser: Browser) -> None:
    """It has the headers of every page, no script and no address but this service's own; FastAPI's pages are gone."""
    answer = await browser.http.get("/docs")
    assert answer.status_code == 200
    assert {name: answer.headers[name] for name in HEADERS} == dict(HEADERS)
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|<iframe|<img|javascript:", answer.text)
    loaded = re.findall(r'(?:src|href|action)="([^"]*)"', answer.text)
    assert {"/openapi.json", "/favicon.ico"} <= set(loaded)
    assert not [each for each in loaded if not re.match(r"/(?!/)|#", each)]
    for path in ("/redoc", "/docs/oauth2-redirect"):
        assert (await browser.http.get(path)).status_code == 404


@ON_SQLITE
async def test_every_call_and_schema_is_on_it_and_links_lead_somewhere(
    browser: Browser, app: FastAPI
) -> None:
    """Operations, parameters, answers, schemas and fields of the document all stand there, once each, under names of their own."""
    page = await browser.page("/docs")
    document = app.openapi()
    names = re.findall(r'\sid="([^"]+)"', page)
    assert len(names) == len(set(names))
    assert {each[1:] for each in re.findall(r'href="(#[^"]+)"', page)} <= set(names)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["operationId"] in names
            assert f"<code>{method.upper()} {path}</code>" in page
    assert page.count("Needs a key.") == len({(call.method, call.template) for call in CALLS if call.scope})
    for name, schema in document["components"]["schemas"].items():
        part = page.partition(f'id="schema-{name}"')[2].partition("</details>")[0]
        shown = re.findall(r"<dt><code>([^<]+)</code>", part)
        assert shown == list(schema.get("properties", {})), name
        assert part.count(", required</span>") == len(schema.get("required", ())), name


@ON_SQLITE
async def test_an_example_is_a_call_that_is_understood(browser: Browser) -> None:
    """Each is a call of curl for a shell, to where the service is, and what it sends is a body that the route accepts."""
    page = await browser.page("/docs")
    examples = [
        html.unescape(each) for each in re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", page, re.DOTALL)
    ]
    assert len(examples) >= len(CALLS)
    read = 0
    for each in examples:
        program, *words = [word for word in shlex.split(each) if word.strip()]
        assert program == "curl"
        assert [
            word
            for word in words
            if word.startswith(ORIGIN) and "{" not in word.removesuffix("/erase/{token}")
        ], each
        if "-d" in words and words[words.index("-H") + 1 :].count("Content-Type: application/json"):
            assert isinstance(json.loads(words[words.index("-d") + 1]), dict), each
            read += 1
    assert read > 10


@ON_SQLITE
def test_examples_of_bodies_are_valid(app: FastAPI) -> None:
    """What stands for a body is valid for the model that reads it."""
    document = app.openapi()
    for model in requests.MODELS:
        model.model_validate_json(
            json.dumps(openapi.example(document, document["components"]["schemas"][model.__name__]))
        )


@pytest.mark.parametrize(
    ("schema", "kind", "limits"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 100, "default": 10}, "whole number", ["at least 1", "at most 100", "10 when left out"]),
        ({"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}]}, "text or null", ["9 characters at most"]),
        ({"type": "array", "items": {"$ref": "#/components/schemas/A"}}, 'list of <a href="#schema-A">A</a>', []),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "object whose values are number", []),
        ({"enum": ["<b>", 1]}, "<code>&#34;&lt;b&gt;&#34;</code> or <code>1</code>", []),
        ({"const": True}, "<code>true</code>", []),
        ({}, "any value", []),
    ],
)  # fmt: skip
def test_a_schema_is_told_in_words(schema: dict[str, Any], kind: str, limits: list[str]) -> None:
    """What it allows, within which limits; nothing of it becomes HTML."""
    (field,) = openapi.parts({"components": {"schemas": {"S": {"properties": {"f": schema}}}}})[0].fields
    assert (str(field.kind), list(field.limits)) == (kind, limits)

import io
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from recommender.catalog import FORMATS, Kind, Resource, Source
from recommender.exchange import COLUMNS, BadCatalog, read_csv, read_jsonl, shipped, write_csv, write_jsonl
from tests.recommender.catalogues import resource

TODAY = date(2026, 6, 1)

NASTY = "aé😀\"',;=\\\n\r\t \u2028\ufeff{[#"
texts = st.text(NASTY + "|", min_size=1, max_size=12)
terms = st.text(NASTY, min_size=1, max_size=6)
days = st.dates(date(2020, 1, 1), date(2030, 1, 1))


@st.composite
def resources(draw: st.DrawFn) -> Resource:
    """Resources in every state, with texts that files tend to break on."""
    reviewed = draw(st.none() | days)
    return resource(
        draw(st.text("aB9_-", min_size=1, max_size=8)),
        title=draw(texts),
        summary=draw(texts),
        url=None,
        body=draw(texts),
        kind=draw(st.sampled_from(Kind)),
        topics=draw(st.lists(st.sampled_from(["sleep", "low_mood", "a1_b2"]), unique=True)),
        languages=draw(st.lists(st.sampled_from(["en", "es-MX", "zh-Hant"]), unique=True, min_size=1)),
        regions=draw(st.lists(st.sampled_from(["GB", "MX"]), unique=True)),
        minutes=draw(st.none() | st.integers(1, 100_000)),
        content_warnings=draw(st.lists(terms, max_size=3)),
        contraindications=draw(st.lists(terms, max_size=3)),
        source=draw(st.none() | st.builds(Source, name=texts, kind=st.just("charity"))),
        reviewed_at=reviewed,
        review_due=None if reviewed is None else draw(st.none() | st.just(reviewed + timedelta(days=9))),
        editorial_rank=draw(st.none() | st.integers(1, 99)),
    )


catalogues = st.lists(resources(), max_size=4, unique_by=lambda each: each.id)


@given(catalogues)
def test_csv_gives_back_exactly_what_was_written(some: list[Resource]) -> None:
    """Whatever texts hold (quotes, line ends, commas, spaces), CSV keeps them."""
    reading = read_csv(io.StringIO("".join(write_csv(some)), newline=""))
    assert not reading.errors
    assert list(reading.resources) == some


@given(catalogues)
def test_json_lines_give_back_exactly_what_was_written(some: list[Resource]) -> None:
    """One line is one resource, whatever its texts hold."""
    lines = list(write_jsonl(some))
    assert all(line.count("\n") == 1 for line in lines)
    reading = read_jsonl(lines)
    assert not reading.errors
    assert list(reading.resources) == some


def test_every_field_is_described_with_an_example() -> None:
    """The OpenAPI document takes descriptions and examples from here."""
    for model in (Resource, Source):
        for name, field in model.model_fields.items():
            assert field.description, name
            assert field.examples or name == "source", name


@pytest.mark.parametrize("resource_id", ["-3499919498720038879", "_a", "a", "A.b:c-d_e", "9" * 128])
def test_ids_of_real_catalogues_are_accepted(resource_id: str) -> None:
    """Deskdrop's ids begin with a minus sign."""
    assert resource(resource_id).id == resource_id


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""), ("id", "9" * 129), ("id", ".a"), ("id", "a b"), ("id", "ä"), ("id", "a\n"), ("id", "a\0"),
        ("title", ""), ("title", "x" * 201), ("title", "a\0b"), ("title", 5),
        ("url", "ftp://example.org/a"), ("url", "javascript:alert(1)"), ("url", "https://"), ("url", "example.org"),
        ("body", "both are given"), ("kind", "poem"), ("topics", ["Sleep"]), ("topics", ["a b"]), ("topics", "sleep"),
        ("topics", ["sleep", "sleep"]), ("topics", [f"t{n}" for n in range(21)]), ("languages", []),
        ("languages", ["English"]), ("regions", ["UK!"]), ("regions", ["gb"]), ("minutes", 0), ("minutes", "5"),
        ("minutes", True), ("minutes", 1.0), ("contraindications", ["a|b"]), ("reviewed_at", 0),
        ("reviewed_at", "20260101"), ("reviewed_at", "2026-02-30"), ("review_due", "2025-12-31"),
        ("editorial_rank", 0), ("cost", "cheap"), ("status", "live"), ("surprise", 1),
        ("source", {"name": "x", "kind": "charity", "more": 1}), ("source", {"name": "x", "kind": "bank"}),
    ],
)  # fmt: skip
def test_a_wrong_field_is_refused_by_name(field: str, value: object) -> None:
    """An error names its field, or the whole resource where two fields disagree; it never shows what was sent."""
    with pytest.raises(ValidationError) as caught:
        resource("a", **{field: value})
    places = {error["loc"][:1] for error in caught.value.errors()}
    assert places == {(field,)} or (field in {"body", "review_due"} and places == {()})
    assert "input_value" not in str(caught.value)


def test_a_published_resource_is_somewhere() -> None:
    """A draft may lack both url and body; what is published has one of them."""
    assert resource("a", url=None, status="draft").url is None
    with pytest.raises(ValidationError):
        resource("a", url=None)


@pytest.mark.parametrize(
    ("fields", "eligible"),
    [
        ({}, True),
        ({"status": "draft"}, False),
        ({"status": "retired"}, False),
        ({"reviewed_at": None}, False),
        ({"reviewed_at": TODAY}, True),
        ({"reviewed_at": TODAY + timedelta(days=1)}, False),
        ({"review_due": TODAY}, True),
        ({"review_due": TODAY - timedelta(days=1)}, False),
        ({"review_due": None}, True),
        ({"source": None}, False),
        ({"evidence": None}, False),
        ({"source": {"name": "Shop", "kind": "commercial"}, "evidence": "lived_experience"}, False),
        ({"source": {"name": "Shop", "kind": "commercial"}, "evidence": "trial"}, True),
    ],
)
def test_only_published_reviewed_and_credible_resources_are_eligible(
    fields: dict[str, Any], *, eligible: bool
) -> None:
    """Each condition alone decides."""
    assert resource("a", **fields).eligible(TODAY) is eligible


def test_every_kind_has_a_format() -> None:
    """A filter by format can reach every kind."""
    assert set(FORMATS) == set(Kind)
    assert all(FORMATS.values())


def test_every_bad_row_is_reported_by_line_and_field() -> None:
    """Good rows come out; of the bad ones every error is told, and none repeats what was sent."""
    good = next(write_jsonl([resource("a")]))
    lines = [
        good,
        "\n",
        '{"id": "b", "kind": "secret-poem"}\n',
        "not json, but private\n",
        good,
        "[1]\n",
        '{"id": "c", "surprise-private": 1, "title": "secret\\u0000"}\n',
        "x" * 1_000_001,
    ]
    reading = read_jsonl(lines)
    assert [each.id for each in reading.resources] == ["a"]
    found = {(each.line, each.field) for each in reading.errors}
    assert {
        (3, "kind"),
        (3, "title"),
        (3, "languages"),
        (4, ""),
        (5, "id"),
        (6, ""),
        (7, "title"),
        (8, ""),
    } <= found
    assert (7, "surprise-private") in found
    assert {each.line for each in reading.errors} == {3, 4, 5, 6, 7, 8}
    assert not any("secret" in each.message or "private" in each.message for each in reading.errors)


def test_bad_rows_of_csv_are_reported_by_their_first_line() -> None:
    """A quoted cell may span lines; the next row's number still is right."""
    text = (
        "id,title,summary,kind,languages,minutes,topics\r\n"
        'a,"Two\r\nlines",s,article,en,5,sleep|stress\r\n'
        "b,t,s,poem,en,five,\r\n"
        "c,t,s\r\n"
        "\r\n"
        "d,t,s,article,en,,\r\n"
    )
    reading = read_csv(io.StringIO(text, newline=""))
    assert [(each.id, each.minutes, each.topics) for each in reading.resources] == [
        ("a", 5, ("sleep", "stress")),
        ("d", None, ()),
    ]
    assert {(each.line, each.field) for each in reading.errors} == {(4, "kind"), (4, "minutes"), (5, "")}


@pytest.mark.parametrize("text", ["", "id,colour\r\n", "id,id\r\n", 'id,"unfinished\r\n'])
def test_a_header_that_is_none_is_an_error_of_line_one(text: str) -> None:
    """Nothing is read under a header that cannot be trusted."""
    reading = read_csv(io.StringIO(text, newline=""))
    assert not reading.resources
    assert {each.line for each in reading.errors} == {1}


def test_csv_has_a_column_for_every_field() -> None:
    """A field that is added to the resource is exported too."""
    assert {name.split("_")[0] if name.startswith("source_") else name for name in COLUMNS} == set(
        Resource.model_fields
    )


FRONT = """---
id: {id}
title: "Box: breathing"
summary: Four counts.
kind: exercise
topics: [anxiety]
languages: [en]
url: null
status: published
{more}
---

## Steps

---
Breathe.
"""


def _folder(root: Path, **files: str) -> Path:
    (root / "en").mkdir()
    for name, text in files.items():
        path = root / "pointers.yaml" if name == "pointers" else root / "en" / f"{name}.md"
        path.write_text(text, encoding="utf-8")
    return root


def test_a_folder_becomes_a_catalogue(tmp_path: Path) -> None:
    """Front matter gives the fields and the rest is the body; pointers have none."""
    pointer = (
        "- {id: z, title: T, summary: S, kind: helpline, languages: [en], url: 'https://example.org/'}\n"
    )
    made = shipped(_folder(tmp_path, box=FRONT.format(id="box", more=""), pointers=pointer))
    assert [each.id for each in made] == ["box", "z"]
    assert made[0].body == "## Steps\n\n---\nBreathe."
    assert made[1].body is None


def test_every_wrong_file_of_a_folder_is_named(tmp_path: Path) -> None:
    """Errors of all files come at once: fields, repeated ids, broken YAML, and translations of nothing."""
    folder = _folder(
        tmp_path,
        a=FRONT.format(id="a", more="minutes: five"),
        b=FRONT.format(id="b", more=""),
        c=FRONT.format(id="b", more=""),
        d="no front matter",
        e=FRONT.format(id="e", more="translation_of: nothing"),
        f=FRONT.format(id="f", more="topics: [unclosed"),
        pointers="not: a list",
    )
    with pytest.raises(BadCatalog) as caught:
        shipped(folder)
    assert set(caught.value.errors) == {"en/a.md", "en/c.md", "en/d.md", "en/f.md", "e", "pointers.yaml"}
    assert "minutes" in str(caught.value)


def test_the_shipped_catalogue_can_be_recommended() -> None:
    """What the project ships is complete: many kinds and topics, reviewed, with sources, in two languages."""
    catalogue = shipped()
    assert len(catalogue) >= 100
    assert {each.kind for each in catalogue} == set(Kind)
    assert len({topic for each in catalogue for topic in each.topics}) >= 10
    assert sum("es" in each.languages for each in catalogue) >= 20
    reviewed = max(each.reviewed_at for each in catalogue if each.reviewed_at)
    assert sum(each.eligible(reviewed) for each in catalogue) >= 100

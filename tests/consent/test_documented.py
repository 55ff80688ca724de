"""docs/consent.md says what the code does: every state with its meaning and transitions, every reason, every setting."""

import re
from pathlib import Path

from consent.decisions import Reason
from consent.ledger import MEANING, TRANSITIONS, State
from consent.prompts import DAY, Because, Quiet

TEXT = (Path(__file__).parents[2] / "docs" / "consent.md").read_text("utf-8")
LINES = {
    "asked": State.REQUESTED, "question closed": State.DEFERRED, "yes": State.GIVEN, "no": State.REFUSED,
    "taken back": State.WITHDRAWN, "runs out": State.EXPIRED, "notice changes": State.INVALIDATED,
    "age changes": State.TERMINATED,
}  # fmt: skip


def table(first: str) -> list[list[str]]:
    """The rows of the table whose first heading this is, headings first."""
    rows = [
        [cell.strip() for cell in row.strip("|").split("|")] for row in TEXT.splitlines() if row[:1] == "|"
    ]
    start = next(number for number, row in enumerate(rows) if row[0] == first)
    end = next(
        (n for n in range(start + 2, len(rows)) if set(rows[n][0]) == {"-"}), len(rows) + 1
    )  # the line under the next table's headings
    return [rows[start], *rows[start + 2 : end - 1]]


def test_every_state_stands_there_with_its_meaning() -> None:
    """The table of states is the one of the code."""
    assert {row[0]: row[1] for row in table("state")[1:]} == {f"`{state}`": MEANING[state] for state in State}


def test_the_transitions_are_those_of_the_code() -> None:
    """Each cell of the table, for every state that its row names."""
    headings, *rows = table("a cell that is")
    seen = set()
    for row in rows:
        for state in map(State, re.findall(r"`(\w+)`", row[0])):
            seen.add(state)
            for heading, told in zip(headings[1:], row[1:], strict=True):
                line = LINES[heading]
                if heading == "yes" and told == "`renewed`":
                    line = State.RENEWED
                to = TRANSITIONS[state].get(line)
                assert told == ("" if to is None else "stays" if to is not line else f"`{to}`"), (
                    state,
                    heading,
                )
    assert seen == set(State)


def test_every_reason_stands_there() -> None:
    """The reasons of a denial, and what decides whether to ask, are complete."""
    assert [row[0] for row in table("reason")[1:]] == [f"`{reason}`" for reason in Reason]
    told = {word for row in table("because")[1:] for word in re.findall(r"`(\w+)`", row[0])}
    assert told == {because.value for because in Because}


def test_the_times_of_peace_are_those_of_the_code() -> None:
    """The days in the table are the defaults."""
    quiet = Quiet()
    for days in (quiet.after_refusal, quiet.after_dismissal):
        assert f"{days // DAY} days after" in TEXT
    assert quiet.after_question == DAY

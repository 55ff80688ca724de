"""An explanation as bars, by signal and by what it was about."""

from collections.abc import Sequence

import pytest

from api.pages.reasons import Bar, Reasons, reasons

SIGNALS = ("views", "saves", "completions")


def explanation(*values: float) -> dict[str, object]:
    """An explanation with these contributions, of three signals by turns, two signals for each resource."""
    return {
        "base": 0.25,
        "contributions": [
            {"signal": SIGNALS[number % 3], "resource_id": f"r{number // 2}", "value": value}
            for number, value in enumerate(values)
        ],
        "adjustments": [{"name": "diversity", "value": -0.5}],
    }


def total(bars: Sequence[Bar]) -> float:
    """What bars add up to."""
    return sum(bar.value for bar in bars)


def every(found: Reasons) -> list[Bar]:
    """All bars, and those that they are made of."""
    waiting, seen = [*found.by_signal, *found.by_thing], []
    while waiting:
        seen.append(waiting.pop())
        waiting += seen[-1].parts
    return seen


@pytest.mark.parametrize("count", [0, 1, 2, 3, 12, 13, 40])
def test_both_groupings_add_up(count: int) -> None:
    """Signals with base and rules give the score, things give what signals give, and each bar is the sum of its parts."""
    values = [(-1) ** number / (1 + number) for number in range(count)]
    found = reasons(explanation(*values), {})
    assert total(found.by_signal) == pytest.approx(0.25 - 0.5 + sum(values))
    assert total(found.by_thing) == pytest.approx(sum(values))
    for bar in every(found):
        assert not bar.parts or total(bar.parts) == pytest.approx(bar.value)


def test_each_signal_and_each_thing_stands_once() -> None:
    """However many lines there are of it; the strongest first, and its share is of all that signals add or take away."""
    found = reasons(explanation(0.1, -0.6, 0.2, 0.1), {"r0": "Box breathing"})
    signals = [bar for bar in found.by_signal if bar.kind == "signal"]
    assert [(bar.name, bar.share) for bar in signals] == [("saves", 60), ("views", 20), ("completions", 20)]
    assert [len(bar.parts) for bar in signals] == [0, 2, 0]
    assert signals[0].about == "Box breathing"
    assert [(bar.about, [part.name for part in bar.parts]) for bar in found.by_thing] == [
        ("Box breathing", ["views", "saves"]),
        ("r1", ["completions", "views"]),
    ]


def test_two_resources_of_the_same_title_are_two_things() -> None:
    """What is put together is what was done with one resource, not what looks alike."""
    found = reasons(explanation(0.1, 0.2, 0.3), {"r0": "Sleep", "r1": "Sleep"})
    assert [bar.about for bar in found.by_thing] == ["Sleep", "Sleep"]


@pytest.mark.parametrize(("things", "behind"), [(6, 0), (7, 2), (20, 15)])
def test_many_things_are_shown_five_at_first(things: int, behind: int) -> None:
    """The others stand behind one bar, which is their sum, all of them there."""
    found = reasons(explanation(*[1.0 - number / 100 for number in range(2 * things)]), {})
    assert [len(bar.parts) for bar in found.by_thing if bar.kind == "smaller"] == [behind][: bool(behind)]
    assert len(found.by_thing) == min(things, 6)


def test_all_bars_are_drawn_on_one_scale() -> None:
    """The longest is the largest value of any bar, however deep it lies."""
    assert reasons(explanation(0.1, 0.3), {}).longest == 0.5
    assert reasons(explanation(2.0, 0.1, 0.1, -1.9), {}).longest == pytest.approx(2.1)


def test_an_explanation_without_any_weight_is_drawn_too() -> None:
    """Nothing is divided by nothing."""
    found = reasons({"base": 0.0, "contributions": [], "adjustments": []}, {})
    assert (len(found.by_signal), len(found.by_thing), found.longest) == (1, 0, 1.0)


def test_what_is_about_no_resource_has_its_topic_or_band() -> None:
    """A topic stays an id for the page to name, and a check-in tells its band; neither is said to mean anything."""
    lines = [
        {"signal": "topics", "topic": "sleep", "value": 0.3},
        {"signal": "searches", "topic": "sleep", "value": 0.1},
        {"signal": "check_ins", "band": 2, "value": 0.2},
    ]
    found = reasons({"base": 0.0, "contributions": lines, "adjustments": []}, {})
    assert [(bar.about_is, bar.about) for bar in found.by_thing] == [("topic", "sleep"), ("band", "2")]

"""An explanation as bars."""

import pytest

from api.pages.reasons import reasons


def explanation(*values: float) -> dict[str, object]:
    """Return an explanation with these contributions."""
    return {
        "base": 0.25,
        "contributions": [
            {"signal": "views", "resource_id": f"r{number}", "value": value}
            for number, value in enumerate(values)
        ],
        "adjustments": [{"name": "diversity", "value": -0.5}],
    }


@pytest.mark.parametrize("count", [0, 1, 6, 7, 40])
def test_what_is_shown_first_adds_up_to_the_score(count: int) -> None:
    """However many reasons there are, those at first sight add up, and the smaller ones to their sum."""
    told = explanation(*(1 / (1 + number) for number in range(count)))
    found = reasons(told, {})
    score = 0.25 - 0.5 + sum(1 / (1 + number) for number in range(count))
    assert sum(bar.value for bar in found.first) == pytest.approx(score)
    together = [bar.value for bar in found.first if bar.kind == "smaller"]
    assert sum(together) == pytest.approx(sum(bar.value for bar in found.smaller))
    assert len(found.smaller) == (count - 5 if count > 6 else 0)


def test_the_longest_bar_is_full_and_the_others_keep_the_scale() -> None:
    """Widths are in percent of the strongest reason, whichever way it counts."""
    found = reasons(explanation(0.1, -1.0), {"r0": "Box breathing"})
    assert [bar.width for bar in found.first] == [25.0, 10.0, 100.0, 50.0]
    assert found.first[1].about == "Box breathing"


def test_an_explanation_without_any_weight_has_bars_of_no_length() -> None:
    """Nothing is divided by nothing."""
    told = {"base": 0.0, "contributions": [], "adjustments": []}
    assert [bar.width for bar in reasons(told, {}).first] == [0.0]

"""The catalogue of signals: nothing is kept without an owner, an end, a class of sensitivity and words for people."""

from datetime import timedelta

import pytest

from consent import notices
from consent.notices import EVERY_CELL
from consent.purposes import Purpose
from consent.signals import SIGNALS, About, Sensitivity, Signal

CONTRACT = (
    "views", "completions", "saves", "ratings", "time_spent", "searches", "topics", "groups", "check_ins", "impressions",
)  # fmt: skip


def test_the_catalogue_is_closed() -> None:
    """The ten signals of the contract, in the order in which people see them; nobody can add one while running."""
    assert tuple(SIGNALS) == CONTRACT
    with pytest.raises(TypeError):
        SIGNALS["location"] = SIGNALS["views"]  # type: ignore[index]  # that it is refused is the point
    assert len(EVERY_CELL) == len(CONTRACT) * len(Purpose)


@pytest.mark.parametrize("signal", SIGNALS.values(), ids=lambda signal: signal.id)
def test_every_signal_says_what_it_keeps(signal: Signal) -> None:
    """Owner, retention, sensitivity, what is stored, purposes, and a title and description in every locale of the notices."""
    assert signal.owner.strip()
    assert timedelta(days=1) <= signal.retention <= timedelta(days=366)
    assert timedelta(days=1) <= signal.consent_lasts <= timedelta(days=366)
    assert isinstance(signal.sensitivity, Sensitivity)
    assert isinstance(signal.about, About)
    assert signal.stored.strip()
    assert set(signal.purposes) <= set(Purpose)
    assert signal.purposes
    assert set(signal.texts) == set(notices.published().locales)
    for locale, text in signal.texts.items():
        assert len(text.title) > 3, locale
        assert len(text.description) > 20, locale
        assert text.description.endswith("."), locale


def test_health_data_is_marked_and_kept_for_less_time() -> None:
    """Check-ins are a special category, and their consent ends after half a year; the rest does not claim to be."""
    special = {signal.id for signal in SIGNALS.values() if signal.sensitivity is Sensitivity.SPECIAL}
    assert special == {"check_ins"}
    assert SIGNALS["check_ins"].consent_lasts < timedelta(days=190)
    assert SIGNALS["check_ins"].retention < timedelta(days=190)


@pytest.mark.parametrize(
    "signal", [each for each in SIGNALS.values() if each.values], ids=lambda signal: signal.id
)
def test_values_are_bounded(signal: Signal) -> None:
    """What is beyond the bounds, or between whole numbers, is refused; what is kept of the rest has at most five values."""
    values = signal.values
    assert values is not None
    for wrong in (values.low - 1, values.high + 1, float("nan"), float("inf"), -float("inf")):
        with pytest.raises(ValueError, match="must be"):
            values.kept(wrong)
    if values.whole:
        with pytest.raises(ValueError, match="whole number"):
            values.kept(values.low + 0.5)
    steps = [values.low + (values.high - values.low) * part / 1_000 for part in range(1_001)]
    kept = {values.kept(step) for step in steps if not values.whole or step == int(step)}
    assert kept <= {1.0, 2.0, 3.0, 4.0, 5.0}

"""The catalogue of signals: nothing is kept without an owner, an end, a class of sensitivity and words for people."""

from datetime import timedelta

import pytest

from consent import signals
from consent.notices import published as notices
from consent.notices.published import EVERY_CELL
from consent.notices.wording import LOCALES, data, wording
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
    assert set(signal.texts) == set(LOCALES) == set(notices.published().locales)
    for locale, text in signal.texts.items():
        assert len(text.title) > 3, locale
        assert len(text.description) > 20, locale
        assert text.description.endswith((".", "।")), locale
        assert text.stored.strip(), locale
        if locale != "en":
            english = signal.texts["en"]
            assert not {text.title, text.description, text.stored} & {
                english.title,
                english.description,
                english.stored,
            }


@pytest.mark.parametrize(
    "missing", ["about", "sensitivity", "retention_days", "consent_days", "owner", "purposes"]
)
def test_an_entry_that_lacks_a_fact_cannot_be_read(missing: str) -> None:
    """Without owner, retention, sensitivity and the rest there is no signal."""
    entry = data("signals.yaml")["views"]
    del entry[missing]
    with pytest.raises(KeyError, match=missing):
        signals._signal("views", entry)


def test_an_entry_without_words_cannot_be_read() -> None:
    """A signal that no language file knows does not come to be."""
    with pytest.raises(KeyError, match="location"):
        signals._signal("location", data("signals.yaml")["views"])


@pytest.mark.parametrize("locale", LOCALES)
def test_every_purpose_has_words(locale: str) -> None:
    """A name and a sentence, in every language, and no purpose that does not exist."""
    told = wording(locale).purposes
    assert set(told) == {purpose.value for purpose in Purpose}
    assert all(set(words) == {"name", "text"} and all(words.values()) for words in told.values())


@pytest.mark.parametrize(
    ("locale", "days", "told"),
    [
        ("en", 365, "a year"), ("en", 183, "6 months"), ("en", 1, "a day"), ("es", 90, "90 días"), ("hi", 365, "एक साल"),
        ("ar", 365, "سنة"), ("ar", 730, "سنتان"), ("ar", 3 * 365, "3 سنوات"), ("ar", 90, "90 يومًا"), ("ar", 101, "101 يوم"),
    ],
)  # fmt: skip
def test_spans_of_time_have_the_form_that_goes_with_their_number(locale: str, days: int, told: str) -> None:
    """Arabic tells one, two, a few and many apart (Unicode CLDR); the others one and more."""
    assert wording(locale).span(timedelta(days=days)) == told


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

"""The facts that every notice must hold, in the catalogue's own words: an app may word a notice, and drop or bend none of them.

A notice is Markdown in which `{signal.views}`, `{purpose.improve}`, `{rights}` and so on stand for a fact; `{signals}`
and `{purposes}` stand for the lists of all. What is shown, kept and hashed is the text with the facts in their places.
"""

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from consent.errors import MissingFact
from consent.notices.wording import Wording, wording
from consent.purposes import Purpose
from consent.signals import SIGNALS, Sensitivity, Signal

PROMISES = ("refusal", "withdrawal", "sharing", "deletion", "machine", "rights")
"""What every notice says beside the signals and what they are used for (GDPR 7, 13 and 22)."""

_PLACE = re.compile(r"\{([^{}\n]*)\}")


@cache
def facts(locale: str) -> Mapping[str, str]:
    """Return every mandatory fact by its name, in one of `wording.LOCALES`."""
    words = wording(locale)
    told = {f"signal.{signal.id}": _signal(signal, words) for signal in SIGNALS.values()}
    told |= {
        f"purpose.{purpose.value}": words.facts["purpose"].format(**words.purposes[purpose.value])
        for purpose in Purpose
    }
    return MappingProxyType(told | {name: words.facts[name] for name in PROMISES})


def _signal(signal: Signal, words: Wording) -> str:
    text = signal.texts[words.locale]
    told = words.facts["signal"].format(
        title=text.title,
        description=text.description,
        kept=words.span(signal.retention),
        lasts=words.span(signal.consent_lasts),
    )
    return f"{told} {words.facts['special']}" if signal.sensitivity is Sensitivity.SPECIAL else told


def fill(draft: str, locale: str, field: str) -> str:
    """Return a notice with its facts in their places.

    Args:
        draft: the wording, with a place for every fact.
        locale: one of `wording.LOCALES`.
        field: where the draft was sent, for the error.

    Raises:
        MissingFact: a fact has no place in the draft, or a place stands for none; it names both.
    """
    told = facts(locale)
    lists = {
        "signals": [name for name in told if name.startswith("signal.")],
        "purposes": [name for name in told if name.startswith("purpose.")],
    }
    named = [name.strip() for name in _PLACE.findall(draft)]
    for name in named:
        if name not in told and name not in lists:
            raise MissingFact(field, "a place in braces stands for no fact there is")
    there = {fact for name in named for fact in lists.get(name, (name,))}
    for name in told:
        if name not in there:
            raise MissingFact(f"{field}.{name}", f"this fact is missing: put {{{name}}} where it belongs")

    def fact(place: re.Match[str]) -> str:
        name = place[1].strip()
        return "\n".join(f"- {told[each]}" for each in lists[name]) if name in lists else told[name]

    return _PLACE.sub(fact, draft)

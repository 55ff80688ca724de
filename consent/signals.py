"""The closed catalogue of signals: what each one keeps, how sensitive it is, how long it stays, who answers for it.

The catalogue is data: `texts/signals.yaml` and, for each language, `texts/<locale>.yaml`. A signal that lacks anything
cannot be read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from consent.notices.wording import LOCALES, data, wording
from consent.purposes import Purpose


class About(StrEnum):
    """What an event of a signal points to."""

    RESOURCE = "resource"
    TOPIC = "topic"
    NOTHING = "nothing"


class Sensitivity(StrEnum):
    """How much care a signal needs; `SPECIAL` is health data in the sense of GDPR article 9."""

    ORDINARY = "ordinary"
    SENSITIVE = "sensitive"
    SPECIAL = "special"


@dataclass(frozen=True)
class Text:
    """What a person reads about a signal; `stored` is what is kept of it, in the middle of a sentence."""

    title: str
    description: str
    stored: str


@dataclass(frozen=True)
class Values:
    """The values that an event of a signal carries.

    `low` and `high` bound what is sent. With `bands`, only the number of the band is kept (1 for up to the
    first bound, 2 for up to the second, ...), and what was sent is forgotten.
    """

    low: float
    high: float
    whole: bool = True
    bands: tuple[float, ...] = ()
    unit: str = ""

    def kept(self, sent: float) -> float:
        """Return what is stored of a value that was sent; ValueError when it is out of bounds."""
        if not self.low <= sent <= self.high or (self.whole and sent != int(sent)):
            kind = "a whole number" if self.whole else "a number"
            raise ValueError(f"must be {kind} from {self.low:g} to {self.high:g}")
        if not self.bands:
            return float(sent)
        return float(1 + sum(sent > bound for bound in self.bands))


@dataclass(frozen=True)
class Signal:
    """One kind of in-app engagement."""

    id: str
    about: About
    values: Values | None
    sensitivity: Sensitivity
    retention: timedelta
    consent_lasts: timedelta
    owner: str
    purposes: tuple[Purpose, ...]
    texts: Mapping[str, Text]

    @property
    def stored(self) -> str:
        """What is kept, in English: for documents that are not for one reader."""
        return self.texts["en"].stored


def _signal(id_: str, entry: Mapping[str, Any]) -> Signal:
    values = entry.get("values")
    texts = {locale: Text(**wording(locale).signals[id_]) for locale in LOCALES}
    return Signal(
        id=id_,
        about=About(entry["about"]),
        values=None if values is None else Values(**{**values, "bands": tuple(values.get("bands", ()))}),
        sensitivity=Sensitivity(entry["sensitivity"]),
        retention=timedelta(days=entry["retention_days"]),
        consent_lasts=timedelta(days=entry["consent_days"]),
        owner=entry["owner"],
        purposes=tuple(Purpose(purpose) for purpose in entry["purposes"]),
        texts=MappingProxyType(texts),
    )


SIGNALS: Mapping[str, Signal] = MappingProxyType(
    {id_: _signal(id_, entry) for id_, entry in data("signals.yaml").items()}
)
"""Every signal by its id, in the order in which people see them."""

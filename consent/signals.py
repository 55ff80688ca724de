"""The closed catalogue of signals: what each one keeps, how sensitive it is, how long it stays, who answers for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType

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
    """What a person reads about a signal."""

    title: str
    description: str


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
    stored: str
    sensitivity: Sensitivity
    retention: timedelta
    consent_lasts: timedelta
    owner: str
    texts: Mapping[str, Text]
    purposes: tuple[Purpose, ...] = tuple(Purpose)


_YEAR = timedelta(days=365)
_HALF_YEAR = timedelta(days=183)


def _signal(
    id_: str,
    about: About,
    values: Values | None,
    stored: str,
    sensitivity: Sensitivity,
    retention: timedelta,
    en: tuple[str, str],
    es: tuple[str, str],
) -> Signal:
    return Signal(
        id=id_,
        about=about,
        values=values,
        stored=stored,
        sensitivity=sensitivity,
        retention=retention,
        consent_lasts=_HALF_YEAR if sensitivity is Sensitivity.SPECIAL else _YEAR,
        owner="data protection lead",
        texts=MappingProxyType({"en": Text(*en), "es": Text(*es)}),
    )


_ALL = (
    _signal(
        "views", About.RESOURCE, None, "which resource was opened, and when", Sensitivity.SENSITIVE, _YEAR,
        ("What you open", "Which exercises, articles and other resources you open in the app, and when."),
        ("Lo que abres", "Qué ejercicios, artículos y otros recursos abres en la aplicación, y cuándo."),
    ),
    _signal(
        "completions", About.RESOURCE, None, "which resource was finished, and when", Sensitivity.SENSITIVE, _YEAR,
        ("What you finish", "Which exercises and courses you finish, and when."),
        ("Lo que terminas", "Qué ejercicios y cursos terminas, y cuándo."),
    ),
    _signal(
        "saves", About.RESOURCE, None, "which resource was saved, and when", Sensitivity.SENSITIVE, _YEAR,
        ("What you save", "Which resources you save or bookmark for later, and when."),
        ("Lo que guardas", "Qué recursos guardas para más tarde, y cuándo."),
    ),
    _signal(
        "ratings", About.RESOURCE, Values(1, 5), "which resource was rated, the stars, and when", Sensitivity.SENSITIVE, _YEAR,
        ("How you rate things", "The stars, from one to five, that you give to a resource, and when."),
        ("Tus valoraciones", "Las estrellas, de una a cinco, que das a un recurso, y cuándo."),
    ),
    _signal(
        "time_spent", About.RESOURCE,
        Values(0, 86_400, whole=False, bands=(30.0, 120.0, 300.0, 900.0), unit="seconds"),
        "which resource, when, and one of five bands of time (never the seconds)", Sensitivity.SENSITIVE, _YEAR,
        ("How long you stay", "Roughly how long you spend with a resource: one of five bands, never the exact time."),
        ("Cuánto tiempo te quedas", "Más o menos cuánto tiempo pasas con un recurso: una de cinco franjas, nunca el tiempo exacto."),
    ),
    _signal(
        "searches", About.TOPIC, None, "which topic was searched, and when (never the words typed)", Sensitivity.SENSITIVE, _HALF_YEAR,
        ("Topics you search for", "The topic of a search, such as sleep, and when. Never the words you type."),
        ("Temas que buscas", "El tema de una búsqueda, como el sueño, y cuándo. Nunca las palabras que escribes."),
    ),
    _signal(
        "topics", About.TOPIC, None, "which topic was followed or read about, and when", Sensitivity.SENSITIVE, _YEAR,
        ("Topics you follow", "Topics you follow, or read and post about in the community, and when. Never what you write."),
        ("Temas que sigues", "Temas que sigues, o sobre los que lees y escribes en la comunidad, y cuándo. Nunca lo que escribes."),
    ),
    _signal(
        "groups", About.RESOURCE, None, "which support group was joined or visited, and when", Sensitivity.SENSITIVE, _YEAR,
        ("Groups you join", "Which support groups you join or visit, and when. Never what you say there."),
        ("Grupos a los que te unes", "A qué grupos de apoyo te unes o visitas, y cuándo. Nunca lo que dices allí."),
    ),
    _signal(
        "check_ins", About.NOTHING, Values(1, 5), "how the day felt, in five steps, and when", Sensitivity.SPECIAL, _HALF_YEAR,
        ("How you say you feel", "Your check-ins, from one (hard day) to five (good day), and when. This is health information."),
        ("Cómo dices que te sientes", "Tus registros, de uno (mal día) a cinco (buen día), y cuándo. Es información de salud."),
    ),
    _signal(
        "impressions", About.RESOURCE, None, "which recommendation was shown, and when", Sensitivity.ORDINARY, timedelta(days=90),
        ("What we showed you", "Which recommendations appeared on your screen, and when, so that they need not be repeated."),
        ("Lo que te mostramos", "Qué recomendaciones aparecieron en tu pantalla, y cuándo, para no repetirlas."),
    ),
)  # fmt: skip

SIGNALS: Mapping[str, Signal] = MappingProxyType({signal.id: signal for signal in _ALL})
"""Every signal by its id, in the order in which people see them."""

"""The words of explanations, in every language that they are offered in."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """Sentences and the names of topics in one language; `{}` is where a title, a topic or a phrase goes."""

    because: str
    joined: str
    deeds: Mapping[str, str]
    context: str
    and_context: str
    editors: str
    editors_topic: str
    beyond: str
    topics: Mapping[str, str]

    def topic(self, topic: str) -> str:
        """The name of a topic; of one that is not known, its id with spaces."""
        return self.topics.get(topic, topic.replace("_", " "))


WORDINGS: Mapping[str, Wording] = {
    "en": Wording(
        because="Because you {}",
        joined=" and ",
        deeds={
            "views": "opened “{}”",
            "completions": "finished “{}”",
            "saves": "saved “{}”",
            "ratings": "gave “{}” a good rating",
            "time_spent": "spent time with “{}”",
            "searches": "searched for the topic {}",
            "topics": "follow or read about the topic {}",
            "groups": "joined or visited “{}”",
            "check_ins": "told us how your day felt",
            "impressions": "were shown “{}”",
        },
        context="Because this part of the app is about the topic {}",
        and_context=", and this part of the app is about the topic {}",
        editors="Chosen by our editors for everyone",
        editors_topic="Chosen by our editors on the topic {}",
        beyond="A suggestion beyond what you shared so far",
        topics={},
    ),
    "es": Wording(
        because="Porque {}",
        joined=" y ",
        deeds={
            "views": "abriste “{}”",
            "completions": "terminaste “{}”",
            "saves": "guardaste “{}”",
            "ratings": "valoraste bien “{}”",
            "time_spent": "dedicaste tiempo a “{}”",
            "searches": "buscaste el tema {}",
            "topics": "sigues o lees sobre el tema {}",
            "groups": "te uniste a “{}” o lo visitaste",
            "check_ins": "nos contaste cómo fue tu día",
            "impressions": "te mostramos “{}”",
        },
        context="Porque esta parte de la aplicación trata el tema {}",
        and_context=", y esta parte de la aplicación trata el tema {}",
        editors="Elegido por nuestro equipo editorial para todo el mundo",
        editors_topic="Elegido por nuestro equipo editorial sobre el tema {}",
        beyond="Una sugerencia más allá de lo que has compartido hasta ahora",
        topics={
            "anxiety": "ansiedad",
            "low_mood": "ánimo bajo",
            "stress": "estrés",
            "sleep": "sueño",
            "loneliness": "soledad",
            "grief": "duelo",
            "anger": "ira",
            "relationships": "relaciones",
            "trauma": "trauma",
            "self_esteem": "autoestima",
            "substance_use": "consumo de sustancias",
            "digital_wellbeing": "bienestar digital",
            "mindfulness": "atención plena",
            "parenting": "crianza",
            "work": "trabajo",
            "burnout": "agotamiento",
            "motivation": "motivación",
            "finding_help": "buscar ayuda",
            "getting_help": "buscar ayuda",
        },
    ),
}


def wording(locale: str | None) -> Wording:
    """The words for a locale (BCP 47), English where there are none in its language."""
    language = (locale or "en").replace("_", "-").split("-", 1)[0].lower()
    return WORDINGS.get(language, WORDINGS["en"])

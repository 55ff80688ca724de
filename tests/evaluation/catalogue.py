"""Resources of a catalogue made for tests."""

from recommender.catalog import Resource


def resource(name: str, intensity: str = "gentle", topics: tuple[str, ...] = (), *against: str) -> Resource:
    """A resource of the catalogue."""
    return Resource.model_validate(
        {
            "id": name,
            "title": name,
            "summary": name,
            "kind": "exercise",
            "languages": ["en"],
            "intensity": intensity,
            "topics": topics,
            "contraindications": against,
        }
    )

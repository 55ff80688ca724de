from itertools import product
from pathlib import Path

import pytest
from pydantic import ValidationError

from recommender.safety import SUPPORT_FILE, Support

SUPPORT = Support.load()
REGIONS = sorted({region for line in SUPPORT.data.helplines for region in line.regions})


def test_at_least_twelve_countries_have_a_helpline_and_an_emergency_number() -> None:
    """A helpline never stands without the number for immediate danger."""
    assert len(REGIONS) >= 12
    assert set(REGIONS) <= set(SUPPORT.data.emergency)


@pytest.mark.parametrize(
    ("region", "phone", "emergency"),
    [
        ("US", "988", "911"), ("CA", "988", "911"), ("GB", "116 123", "999"), ("IE", "116 123", "112"),
        ("AU", "13 11 14", "000"), ("NZ", "1737", "111"), ("IN", "14416", "112"), ("ES", "024", "112"),
        ("MX", "800 911 2000", "911"), ("DE", "0800 111 0 111", "112"), ("FR", "3114", "112"), ("NL", "113", "112"),
    ],
)  # fmt: skip
def test_the_number_of_the_place_comes_first(region: str, phone: str, emergency: str) -> None:
    """The person's country decides which number is shown, whatever the language; lower case is understood."""
    for locale, told in product(("en", "es-AR", "xx", None), (region, region.lower())):
        block = SUPPORT.block(locale, told)
        assert block["helplines"][0]["phone"] == phone
        assert block["emergency"]["phones"][0] == emergency
        assert emergency in block["emergency"]["text"]


def test_no_number_of_another_country_is_ever_shown() -> None:
    """A number that cannot be dialled is worse than none."""
    for region in (*REGIONS, "KE", None):
        for line in SUPPORT.block("en", region)["helplines"]:
            assert region in line["regions"] or not line["regions"]


@pytest.mark.parametrize("region", [*REGIONS, "KE", "ZZ", "", None, "nonsense"])
@pytest.mark.parametrize("locale", ["en", "es", "hi-IN", "ar", "de-XX", "", "-", None, "a" * 500])
def test_there_is_always_somewhere_to_turn(region: str | None, locale: str | None) -> None:
    """Whatever the call says of itself, an international directory closes the list and the texts are there."""
    block = SUPPORT.block(locale, region)
    assert block["helplines"][-1]["url"] == "https://findahelpline.com/"
    assert block["title"]
    assert block["text"]
    assert "{" not in block["emergency"]["text"]
    assert all(set(line) == {"name", "phone", "url", "regions", "hours"} for line in block["helplines"])


def test_the_region_of_the_locale_serves_where_none_is_told() -> None:
    """A told region wins over that of the locale."""
    assert SUPPORT.block("es-MX")["helplines"][0]["phone"] == "800 911 2000"
    assert SUPPORT.block("zh_Hant_SG")["helplines"][0]["phone"] == "1767"
    assert SUPPORT.block("es-MX", "ES")["helplines"][0]["phone"] == "024"


def test_the_persons_language_comes_first_within_a_country() -> None:
    """Belgium has a line for each language."""
    assert SUPPORT.block("fr", "BE")["helplines"][0]["phone"] == "0800 32 123"
    assert SUPPORT.block("nl", "BE")["helplines"][0]["phone"] == "1813"


def test_texts_are_in_spanish_for_spanish_speakers() -> None:
    """Everything but names and numbers is translated."""
    block = SUPPORT.block("es", "ES")
    assert block["title"].startswith("¿")
    assert block["helplines"][0]["hours"] == "24 horas, todos los días"
    assert "peligro" in block["emergency"]["text"]


@pytest.mark.parametrize(
    "change",
    [("https://988lifeline", "lifeline"), ('phone: "988"', 'phone: "call us"'), ("everywhere:", "nowhere:")],
)
def test_a_broken_directory_is_refused_at_start(tmp_path: Path, change: tuple[str, str]) -> None:
    """A wrong number or a missing directory stops the start, and is not found out by somebody in need."""
    broken = tmp_path / "support.yaml"
    broken.write_text(SUPPORT_FILE.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    with pytest.raises(ValidationError):
        Support.load(broken)

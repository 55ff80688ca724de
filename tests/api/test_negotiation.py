"""What an `Accept` header would rather have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.negotiation import media_type

OFFERED = ("application/json", "application/ld+json", "application/jose")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/jose", "application/jose"),
        ("application/JOSE; charset=utf-8", "application/jose"),
        ("application/json;q=0.2, application/ld+json;q=0.9", "application/ld+json"),
        ("application/*;q=0.5, application/jose", "application/jose"),
        ("*/*, application/json;q=0", "application/ld+json"),
        ("text/html", None),
        ("text/html, */*;q=0.1", "application/json"),
        ("application/json;q=0", None),
        ("application/jose;q=nonsense", None),
        ("application/jose;q=nan, application/json;q=7", None),
    ],
)
def test_the_heaviest_wish_that_can_be_met_wins(accept: str, expected: str | None) -> None:
    """By weight, the more specific entry first, then the order of the offer; None when nothing offered is wanted."""
    assert media_type(accept, OFFERED) == expected


@given(st.text(max_size=200))
def test_nonsense_is_answered_with_something_offered_or_nothing(accept: str) -> None:
    """No header makes it fail, or answer with what was not offered."""
    assert media_type(accept, OFFERED) in {*OFFERED, None}

"""What a signal may be used for. Purposes never imply each other."""

from enum import StrEnum


class Purpose(StrEnum):
    """One use of a signal; together with a signal it is a cell, the unit of consent."""

    PERSONALISE = "personalise"
    """Rank resources for this person."""
    IMPROVE = "improve"
    """Train the model that ranks for everyone in the app."""
    MEASURE = "measure"
    """Measure offline how good the recommendations are."""

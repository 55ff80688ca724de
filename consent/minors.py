"""Minors: who may say yes for them, and to what. The app tells an age band, never an age or a day of birth."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from consent.errors import GuardianNeeded, NotForMinors
from consent.ledger import GRANTING, GUARDIAN, Actor, Cell, Change, Choice
from consent.purposes import Purpose


class AgeBand(StrEnum):
    """How old a person is, as far as the law asks."""

    UNDER_13 = "under_13"
    FROM_13_TO_15 = "13_to_15"
    FROM_16_TO_17 = "16_to_17"
    ADULT = "adult"


_BEGINS_AT = {
    AgeBand.UNDER_13: 0,
    AgeBand.FROM_13_TO_15: 13,
    AgeBand.FROM_16_TO_17: 16,
    AgeBand.ADULT: 18,
}

PROFILING = frozenset({Purpose.PERSONALISE})
"""Uses that evaluate the person themselves (GDPR 4(4)). To improve and to measure yield facts about resources only."""


@dataclass(frozen=True)
class Minors:
    """An app's rules for minors. A person of whom the app said nothing counts as an adult.

    Attributes:
        guardian_below: the age from which a person says yes themselves: 13, 16 or 18.
        profiling: whether anyone may allow the profiling of a minor.
    """

    guardian_below: int = 18
    profiling: bool = False

    def needs_guardian(self, band: AgeBand | None) -> bool:
        """Tell whether only a guardian may give."""
        return band is not None and _BEGINS_AT[band] < self.guardian_below

    def allows(self, band: AgeBand | None, purpose: Purpose) -> bool:
        """Tell whether a purpose may be granted at all for someone of this age."""
        return band in (None, AgeBand.ADULT) or self.profiling or purpose not in PROFILING

    def require(self, band: AgeBand | None, actor: Actor, changes: Sequence[Change]) -> None:
        """Let these changes pass; everybody may refuse, withdraw and defer, whoever they are.

        Raises:
            GuardianNeeded: something is given for a minor by someone else than a guardian.
            NotForMinors: something is given that nobody may give for a minor.
        """
        for number, change in enumerate(changes):
            if change.choice is not Choice.GIVEN:
                continue
            if self.needs_guardian(band) and not _acts_for_another(actor):
                raise GuardianNeeded("actor", "for this person only a guardian may give, named by an id")
            if not self.allows(band, change.purpose):
                raise NotForMinors(
                    f"changes.{number}.purpose",
                    "nobody may give this for a minor: profiling of minors is off",
                )

    def ends(self, before: AgeBand | None, band: AgeBand | None, cell: Cell) -> bool:
        """Tell whether a yes ends when the app says that a person is of this age, and was thought to be of another before.

        A minor's own yes ends, and what nobody may give for them; so does a guardian's when the person comes of age,
        who then says for themselves.
        """
        if cell.state not in GRANTING:
            return False
        by_guardian = cell.actor_type == GUARDIAN
        if not self.allows(band, cell.purpose):
            return True
        if self.needs_guardian(band):
            return not by_guardian
        return by_guardian and self.needs_guardian(before)


def _acts_for_another(actor: Actor) -> bool:
    return actor.type == GUARDIAN and actor.pseudonym is not None

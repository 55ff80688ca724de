"""A small model of the ledger for the state machine: a cell is a few facts about what was last said. It has none of the ledger's code."""

from dataclasses import dataclass, field

from consent.ledger import GRANTING, Actor, Choice
from consent.minors import AgeBand
from consent.purposes import Purpose

DAY = 86_400_000_000
TERM = 365 * DAY
SIGNALS = ("views", "saves")
CELLS = [(signal, purpose) for signal in SIGNALS for purpose in (Purpose.PERSONALISE, Purpose.IMPROVE)]
Name = tuple[str, Purpose]
Touched = list[frozenset[tuple[str, str]]]
"""What each revision of the notice touches, oldest first."""

ON = {state.value for state in GRANTING}
OPEN = {"unknown", "requested", "deferred"}


@dataclass
class Fact:
    """What is known of a cell: the word last said that counts, when a yes ends, on which notice, by whom."""

    word: str = "unknown"
    end: int = 0
    notice: int = 0
    guardian: bool = False
    denied_at: int | None = None
    asked_at: int | None = None
    dismissed_at: int | None = None


@dataclass
class Somebody:
    """What is known of a person."""

    facts: dict[Name, Fact] = field(default_factory=lambda: {name: Fact() for name in CELLS})
    band: AgeBand | None = None
    kept: set[str] = field(default_factory=set)
    """Signals of which events are kept."""
    lines: int = 0
    """Length of their history."""

    @property
    def minor(self) -> bool:
        return self.band not in (None, AgeBand.ADULT)

    def stands(self, name: Name, now: int, touched: Touched) -> str:
        """Where a cell stands at a moment."""
        fact = self.facts[name]
        if fact.word not in ON:
            return fact.word
        if now >= fact.end:
            return "expired"
        if any((name[0], name[1].value) in each for each in touched[fact.notice + 1 :]):
            return "invalidated"
        return fact.word

    def granted(self, now: int, touched: Touched) -> set[Name]:
        """The cells that are on."""
        return {name for name in CELLS if self.stands(name, now, touched) in ON}

    def may_be_given(self, names: list[Name], actor: Actor) -> bool:
        """Whether this actor may give these for them."""
        if not self.minor:
            return True
        return actor.type == "guardian" and all(purpose is not Purpose.PERSONALISE for _, purpose in names)

    def in_peace(self, name: Name, now: int, touched: Touched) -> bool:
        """Whether they are not to be asked about a cell now."""
        fact, stands = self.facts[name], self.stands(name, now, touched)
        if stands in ON and now < fact.end - 30 * DAY:
            return True
        if stands in {"refused", "withdrawn"} and now < (fact.denied_at or 0) + 180 * DAY:
            return True
        if fact.dismissed_at is not None and now < fact.dismissed_at + 30 * DAY:
            return True
        return fact.asked_at is not None and now < fact.asked_at + DAY

    def asked(self, names: list[Name], now: int) -> None:
        """They were asked."""
        self.lines += len(names)
        for name in names:
            fact = self.facts[name]
            fact.asked_at = now
            if fact.word in OPEN:
                fact.word = "requested"

    def said(self, choice: Choice, names: list[Name], actor: Actor, now: int, touched: Touched) -> None:
        """They, or their guardian, answered. Before that, what had ended is recorded."""
        self.endings_recorded(now, touched)
        self.lines += len(names)
        for name in names:
            fact = self.facts[name]
            if choice is Choice.DEFERRED:
                fact.dismissed_at = now
                if fact.word in OPEN:
                    fact.word = "deferred"
            elif choice is Choice.GIVEN:
                fact.word = "renewed" if self.stands(name, now, touched) in ON else "given"
                fact.end, fact.notice = now + TERM, len(touched) - 1
                fact.guardian = actor.type == "guardian"
            else:
                fact.word, fact.denied_at = choice.value, now
        if choice in {Choice.REFUSED, Choice.WITHDRAWN}:
            self._lose({signal for signal, _ in names}, now, touched)

    def endings_recorded(self, now: int, touched: Touched) -> None:
        """What had ended is on record from here on."""
        over = {name: self.stands(name, now, touched) for name in CELLS}
        ended = [name for name in CELLS if self.facts[name].word != over[name]]
        for name in ended:
            self.facts[name].word = over[name]
        self.lines += len(ended)
        self._lose({signal for signal, _ in ended}, now, touched)

    def told_to_be(self, band: AgeBand, now: int, touched: Touched) -> None:
        """The app told their age."""
        was_minor, self.band = self.minor, band
        ended = set()
        for name, fact in self.facts.items():
            denied_to_minors = self.minor and (not fact.guardian or name[1] is Purpose.PERSONALISE)
            came_of_age = was_minor and not self.minor and fact.guardian
            if fact.word in ON and (denied_to_minors or came_of_age):
                fact.word = "terminated"
                self.lines += 1
                ended.add(name[0])
        self._lose(ended, now, touched)

    def _lose(self, said_no: set[str], now: int, touched: Touched) -> None:
        left = {signal for signal, _ in self.granted(now, touched)}
        self.kept -= {signal for signal in said_no if signal not in left}

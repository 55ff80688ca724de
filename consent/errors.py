"""What can go wrong with consent.

ConsentError
├── NoConsent           the use is not covered by a grant
├── NotVerified         what was to be verified does not hold
│   ├── ProofError          a Merkle proof does not prove what it should
│   ├── Unreadable          not a bundle, key or proof of any known form
│   ├── CheckpointError     not a checkpoint, or not signed with the expected key
│   └── HistoryChanged      entries were edited, deleted or put in another order, first at this index
├── LogCorrupt          the stored tree contradicts a checkpoint that was signed over it: nothing more is signed
└── FieldError          a value that the ledger does not accept
    ├── UnknownSignal       not in the closed catalogue
    ├── UnknownPurpose      not one of the three
    ├── UnknownNotice       no notice of that version or locale was ever published
    ├── MissingFact         a wording of the notice leaves out what it must say
    ├── UnknownPrompt       no such showing of the notice, or not of this
    ├── GuardianNeeded      for a minor only a guardian may give
    ├── NotForMinors        nobody may give this for a minor
    └── Overtaken           what was asked for may not be done as things stand now
        ├── NoticeSuperseded    a consent may only be given on the current notice
        ├── DeniedMeanwhile     a later no than the yes knew of: deny wins
        └── AskedTooSoon        the person answered, or was asked, not long ago
"""

from dataclasses import dataclass


class ConsentError(Exception):
    """Root of everything that `consent` raises; no message ever repeats personal input."""


@dataclass
class NoConsent(ConsentError):
    """No grant in force covers this signal for this purpose."""

    signal: str
    purpose: str
    reason: str

    def __str__(self) -> str:
        return f"{self.signal} may not be used to {self.purpose}: {self.reason}"


@dataclass
class FieldError(ConsentError):
    """A value that the ledger does not accept, and the field that carried it."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class UnknownSignal(FieldError):
    """The signal is not in the catalogue, or not for this purpose."""


class UnknownPurpose(FieldError):
    """The purpose does not exist."""


class UnknownNotice(FieldError):
    """No notice of this version, or not in this locale."""


class MissingFact(FieldError):
    """A wording of the notice leaves out what it must say, or names what is no fact."""


class UnknownPrompt(FieldError):
    """The showing that a choice refers to was never recorded for this person, or showed something else."""


class GuardianNeeded(FieldError):
    """Consent for a minor was given by someone who is no guardian."""


class NotForMinors(FieldError):
    """Consent was given to what nobody may allow for a minor."""


class Overtaken(FieldError):
    """The request is sound, and came too late or too soon: look again, then decide."""


class NoticeSuperseded(Overtaken):
    """Consent was given on a notice that is no longer the current one."""


class DeniedMeanwhile(Overtaken):
    """Consent was given without knowledge of a no that the ledger holds already."""


class AskedTooSoon(Overtaken):
    """The person is to be left in peace about this for now."""


class NotVerified(ConsentError):
    """What was to be verified does not hold; the message says why, for people."""


class ProofError(NotVerified):
    """A Merkle proof does not prove what it should."""


class Unreadable(NotVerified):
    """This is not a bundle, key or proof of any known form."""


class CheckpointError(NotVerified):
    """This is no checkpoint, or not one that was signed with the expected key."""


@dataclass
class HistoryChanged(NotVerified):
    """A ledger, or a receipt, is not what was logged; `index` is the first entry that is concerned."""

    index: int
    reason: str

    def __str__(self) -> str:
        return f"entry {self.index}: {self.reason}"


class LogCorrupt(ConsentError):
    """The stored tree contradicts a checkpoint that was signed over it."""

"""What can go wrong with consent.

ConsentError
├── NoConsent           the use is not covered by a grant
├── UnknownSignal       not in the closed catalogue
├── UnknownPurpose      not one of the three
├── UnknownNotice       no notice of that version or locale was ever published
└── NoticeSuperseded    a consent may only be given on the current notice
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


class NoticeSuperseded(FieldError):
    """Consent was given on a notice that is no longer the current one."""

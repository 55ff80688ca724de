"""What can be wrong with an evaluation's input. Every message says where, and what would be right.

- EvaluationError
  - DatasetError: a file or a frame of events cannot be used
  - LeakError: a split lets the test part be known while training
  - EmptySplitError: nothing is left to train on, or nobody is left to measure
  - ScoreError: a model's scores cannot be ranked
  - ExamTakenError: the test part was asked twice by the same model
  - JournalError: a file of searches cannot be used
  - ComparisonError: two reports cannot be read or compared
"""

from dataclasses import dataclass


class EvaluationError(ValueError):
    """The evaluation cannot go on; the message is written for whoever started it."""


class DatasetError(EvaluationError):
    """A source of events is missing, empty or malformed."""


class LeakError(EvaluationError):
    """What is tested could have been learned."""


class EmptySplitError(EvaluationError):
    """A part of the split has no events, or no person has anything to be tested on."""


class ScoreError(EvaluationError):
    """A model returned scores of a wrong shape, or scores that are not numbers."""


class ExamTakenError(EvaluationError):
    """The test part was asked again by the same model; only validation may be."""


class JournalError(EvaluationError):
    """A file in which searches are written down cannot be read or written, or is something else."""


class ComparisonError(EvaluationError):
    """Two reports cannot be read, or have nothing in common."""


@dataclass(frozen=True)
class Where:
    """A place in a source: the first row after the header is row 1."""

    source: str
    column: str | None = None
    row: int | None = None

    def __str__(self) -> str:
        column = f", column {self.column!r}" if self.column else ""
        row = f", row {self.row:,}" if self.row else ""
        return f"{self.source}{column}{row}"

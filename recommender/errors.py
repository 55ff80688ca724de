"""What can go wrong in the recommender.

RecommenderError
├── NotEnoughData     there is too little to train on
└── CorruptRelease    the stored bytes of a release are not what was saved
"""


class RecommenderError(Exception):
    """Root of every error of this package; no message carries anything personal."""


class NotEnoughData(RecommenderError):  # noqa: N818  says what is the case; callers read it as a sentence
    """There are too few people, events or resources to train a model on."""


class CorruptRelease(RecommenderError):  # noqa: N818  says what is the case; callers read it as a sentence
    """A stored release is incomplete, of an unknown format, or its bytes do not match its digests."""

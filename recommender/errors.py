"""What can go wrong in the recommender.

RecommenderError
├── NotEnoughData       there is too little to train on
├── StoreUnreachable    where releases are kept does not answer
├── ClusterUnreachable  nobody listens where shards should be trained, or no longer
├── WorkersLost         processes that train died, again and again, or none is left
└── CorruptRelease      the stored bytes of a release are not what was saved
"""


class RecommenderError(Exception):
    """Root of every error of this package; no message carries anything personal."""


class NotEnoughData(RecommenderError):
    """There are too few people, events or resources to train a model on."""


class StoreUnreachable(RecommenderError):
    """Where releases are kept does not answer, or refuses."""


class ClusterUnreachable(RecommenderError):
    """Nobody listens where shards should be trained, or no longer."""


class WorkersLost(RecommenderError):
    """Processes that train died, again and again, or none is left."""


class CorruptRelease(RecommenderError):
    """A stored release is incomplete, of an unknown format, or its bytes do not match its digests."""

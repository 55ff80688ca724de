"""What ours has to beat. Each is fitted on train alone; what it leaves open is chosen on validation.

A model with a parameter for each person scores people whom it never saw as the average person: it has nothing else.
"""

from evaluation.baselines.ease import Ease, ItemWeights, ease_weights
from evaluation.baselines.factors import Bpr, ImplicitAls
from evaluation.baselines.identities import IdentityLightFM
from evaluation.baselines.neighbours import ItemNeighbours
from evaluation.baselines.unpersonal import Popularity, RandomScores, RecentPopularity

__all__ = [
    "Bpr",
    "Ease",
    "IdentityLightFM",
    "ImplicitAls",
    "ItemNeighbours",
    "ItemWeights",
    "Popularity",
    "RandomScores",
    "RecentPopularity",
    "ease_weights",
]

from recommender.kernels.plain import add_up as add_up
from recommender.kernels.plain import best as best
from recommender.kernels.plain import hide as hide
from recommender.kernels.plain import interleave as interleave
from recommender.kernels.plain import rank as rank
from recommender.kernels.plain import weigh as weigh

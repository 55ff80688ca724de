from recommender.kernels.plain import Catalogue as Catalogue
from recommender.kernels.plain import Page as Page
from recommender.kernels.plain import add_up as add_up
from recommender.kernels.plain import best as best
from recommender.kernels.plain import diversify as diversify
from recommender.kernels.plain import hide as hide
from recommender.kernels.plain import line_up as line_up
from recommender.kernels.plain import mixed as mixed
from recommender.kernels.plain import rank as rank
from recommender.kernels.plain import read as read
from recommender.kernels.plain import weigh as weigh

def take_lanes(lanes: int) -> int: ...

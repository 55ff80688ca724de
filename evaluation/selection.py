"""What can be said of everyone when only some opted in.

Sources: weighting by the inverse of propensities, normalised: Hajek, in Foundations of Statistical Inference, 1971;
bounds without any assumption: Manski, American Economic Review 80(2), 1990; bounds where the odds of opting in may be off by a
factor: Tan, JASA 101(476), 2006, and Zhao, Small and Bhattacharya, JRSS B 81(4), 2019, section 4.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.float64]


def related(engagement: Floats, share: float, slope: float) -> Floats:
    """(U,) chances of opting in that rise with engagement: logistic, and on average `share`.

    Args:
        engagement: (U,) of mean 0 and standard deviation 1.
        share: from 0 to 1; at 1 everyone opts in.
        slope: by how much one standard deviation raises the log-odds; 0 is chance alone.
    """
    if share >= 1:
        return np.ones(len(engagement))
    reach = 50 + 10 * abs(slope)
    level = brentq(lambda a: float(expit(a + slope * engagement).mean()) - share, -reach, reach)
    return np.asarray(expit(level + slope * engagement))


def propensities(engagement: Floats, opted_in: NDArray[np.bool_]) -> Floats:
    """(U,) each person's chance of opting in, as a logistic regression on engagement sees it."""
    if opted_in.all() or not opted_in.any():
        return np.full(len(opted_in), float(opted_in.mean()))
    fitted = LogisticRegression().fit(engagement[:, None], opted_in)
    return np.asarray(fitted.predict_proba(engagement[:, None])[:, 1])


def weighted(values: Floats, chances: Floats) -> float:
    """Everyone's mean from the values and chances of those who opted in."""
    return float(np.average(values, weights=1 / chances))


def bounds(values: Floats, chances: Floats, factor: float) -> tuple[float, float]:
    """The least and the most that `weighted` can be where the odds behind each chance may be off by a factor.

    Args:
        values: (n,) of those who opted in.
        chances: (n,) of opting in, above 0.
        factor: at least 1; at 1 both are `weighted`.
    """
    odds_against = 1 / chances - 1
    light, heavy = 1 + odds_against / factor, 1 + odds_against * factor

    def most(of: Floats) -> float:
        order = np.argsort(-of)  # the best is heavy up to some place, light after it
        v, h, w = of[order], heavy[order], light[order]
        zero = np.zeros(1)
        total = np.concatenate((zero, np.cumsum(h))) + np.concatenate((np.cumsum(w[::-1])[::-1], zero))
        summed = np.concatenate((zero, np.cumsum(h * v))) + np.concatenate(
            (np.cumsum((w * v)[::-1])[::-1], zero)
        )
        return float((summed / total).max())

    return -most(-values), most(values)


def no_assumption(mean: float, share: float) -> tuple[float, float]:
    """Everyone's mean where those who opted out have anything from 0 to 1."""
    return mean * share, mean * share + 1 - share

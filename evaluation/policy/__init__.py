"""What would another list have done? Off-policy estimates from impressions that were shown with a known probability."""

from evaluation.policy.estimates import ESTIMATES, ESTIMATORS, Overlap, PolicyValue, estimate
from evaluation.policy.impressions import Columns, Impressions, read

__all__ = ["ESTIMATES", "ESTIMATORS", "Columns", "Impressions", "Overlap", "PolicyValue", "estimate", "read"]

"""Webhooks: what an app wants to hear of, told in the transaction that made it so and delivered by the worker."""

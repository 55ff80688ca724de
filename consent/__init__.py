"""What may be used: the consent ledger, its gate and its receipts. Knows nothing of recommenders."""

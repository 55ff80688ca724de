"""Checking from outside: an exported ledger, or somebody's receipts with proofs, without a database."""

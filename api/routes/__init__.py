"""The HTTP endpoints, a module for each noun of the contract."""

"""The commands of `assent`, a module for each noun."""

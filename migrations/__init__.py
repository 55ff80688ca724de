"""The schema's history, applied by `assent migrate`."""

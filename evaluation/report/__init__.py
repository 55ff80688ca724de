"""What people read: one HTML page that needs nothing else, the same figures as JSON, and a summary for the terminal."""

from evaluation.report.page import html, write

__all__ = ["html", "write"]

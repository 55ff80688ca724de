"""Tests on a Ray cluster of this machine, for whoever has installed Ray."""

import importlib.util
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

F = TypeVar("F", bound=Callable[..., Any])

_MARKS = (
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed here"),
    # Ray tells of its future, and leaves processes that it started to the garbage collector.
    pytest.mark.filterwarnings(
        "default:Tip:FutureWarning",
        "default::ResourceWarning",
        "default::pytest.PytestUnraisableExceptionWarning",
    ),
    pytest.mark.usefixtures("garbage_collected"),
)


def on_ray(test: F) -> F:
    """Mark a test that needs Ray; what Ray leaves behind is that test's, and no later one's."""
    for mark in _MARKS:
        test = mark(test)
    return test

"""The example notebook runs as it stands, and shows what it showed."""

import copy
import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "examples" / "evaluation.ipynb"


def _shown(cell: Any) -> list[list[str]]:
    """What a cell shows, without the values of tables and what libraries remark on the machine.

    Numbers may differ in the last digit from one processor to another; which tables there are may not.
    """
    texts = [
        output.get("text") or output["data"]["text/plain"]
        for output in cell.outputs
        if output.get("name") != "stderr"
    ]
    return [re.findall(r"\w+", " ".join(text.splitlines()[:3:2])) for text in texts]


@pytest.mark.filterwarnings("default")  # the kernel's client leaves sockets to the garbage collector
def test_the_notebook_runs_and_shows_the_same_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell runs in a new kernel; each shows tables of the same shape and columns as those that are committed."""
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    committed = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]  # nbformat has no types
    executed = copy.deepcopy(committed)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(executed, timeout=240, kernel_name="python3", resources=resources).execute()
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    before = [cell for cell in committed.cells if cell.cell_type == "code"]
    assert any(_shown(cell) for cell in before)
    assert [_shown(cell) for cell in code] == [_shown(cell) for cell in before]


def test_the_notebook_names_no_place() -> None:
    """What is committed tells nothing of the machine that it ran on."""
    text = NOTEBOOK.read_text(encoding="utf-8")
    for name in (str(Path.home()), str(Path.cwd()), os.sep + "tmp", "site-packages", "Warning"):
        assert name not in text

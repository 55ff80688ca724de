"""`assent catalog`: bring a catalogue in, take it out, check a file."""

import io
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from api import administration
from api.commands.running import Failed, complaints, console, with_service
from recommender.catalog import Resource
from recommender.exchange import BadCatalog, Reading, read_csv, read_jsonl, shipped, write_csv, write_jsonl

app = typer.Typer(no_args_is_help=True, help="The catalogue: import, export, check.")

File = Annotated[
    Path | None, typer.Argument(help="A .jsonl or .csv file; the shipped catalogue when left out")
]
AppId = Annotated[str, typer.Option("--app", help="The partner app")]


def _read(path: Path | None) -> list[Resource]:
    if path is None:
        try:
            return list(shipped())
        except BadCatalog as wrong:
            raise Failed(str(wrong)) from None
    try:
        text = path.read_bytes().decode("utf-8-sig")  # line ends as they are: a text may hold any
    except FileNotFoundError:
        raise Failed(f"{path}: there is no such file", code=2) from None
    except UnicodeDecodeError:
        raise Failed(f"{path}: is not UTF-8") from None
    if path.suffix not in {".jsonl", ".csv"}:
        raise Failed(f"{path}: must end in .jsonl or .csv", code=2)
    as_csv = path.suffix == ".csv"
    reading = read_csv(io.StringIO(text, newline="")) if as_csv else read_jsonl(text.split("\n"))
    if reading.errors:
        _complain(path, reading)
    if not reading.resources:
        raise Failed(f"{path}: holds no resources")
    return list(reading.resources)


def _complain(path: Path, reading: Reading) -> None:
    table = Table("line", "field", "what is wrong", title=f"{path}: nothing was imported", title_style="red")
    for error in reading.errors:
        table.add_row(str(error.line), error.field or "(row)", error.message)
    complaints.print(table)
    raise typer.Exit(1)


@app.command("import")
def import_(context: typer.Context, file: File = None, app_id: AppId = "demo") -> None:
    """Write a catalogue into an app, all or nothing."""
    resources = _read(file)
    with_service(context, lambda service: administration.import_catalog(service, app_id, resources))
    console.print(f"{len(resources)} resources are in the catalogue of {app_id}.")


@app.command()
def export(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="A .jsonl or .csv file; JSON Lines to the terminal when left out")
    ] = None,
    app_id: AppId = "demo",
) -> None:
    """Write an app's catalogue to a file."""
    if file is not None and file.suffix not in {".jsonl", ".csv"}:
        raise Failed(f"{file}: must end in .jsonl or .csv", code=2)
    resources = with_service(context, lambda service: administration.export_catalog(service, app_id))
    rows = write_csv(resources) if file is not None and file.suffix == ".csv" else write_jsonl(resources)
    if file is None:
        sys.stdout.writelines(rows)
        return
    with file.open("w", encoding="utf-8", newline="") as out:
        out.writelines(rows)
    console.print(f"{len(resources)} resources are in {file}.")


@app.command()
def check(file: File = None) -> None:
    """Check a file, or the shipped catalogue, without importing it."""
    resources = _read(file)
    kinds = Table("kind", "resources", title=f"{len(resources)} resources, all well-formed")
    for kind in sorted({each.kind for each in resources}):
        kinds.add_row(kind.value, str(sum(each.kind is kind for each in resources)))
    console.print(kinds)

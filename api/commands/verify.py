"""`assent verify`: checks a ledger or a person's receipts with public keys alone, which needs no database and no settings.

With `--release` it is `assent releases verify`, which makes a release's training rows again from the service's events.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api.commands import releases
from api.commands.running import Failed, console
from consent.errors import HistoryChanged, NotVerified, Unreadable
from consent.verification.bundles import Keys, parse
from consent.verification.evidence import Kept, Verified
from consent.verification.ledger import is_ledger, keep, verify_ledger
from consent.verification.receipts import verify_receipts

COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
FAILED, UNREADABLE = 1, 2


def verify(
    context: typer.Context,
    bundle: Annotated[
        Path | None, typer.Argument(help="An exported ledger, a person's export, or a receipt's proof")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="The public keys (`assent ledger keys`, GET /v1/log/keys): a file, or the log's verifier key itself"
        ),
    ] = None,
    kept: Annotated[
        list[Path] | None,
        typer.Option(
            help="A checkpoint, receipts or a ledger that you kept from before: it has to agree; may be given several times"
        ),
    ] = None,
    release: Annotated[
        str | None, typer.Option(help="A release, to be checked against what people granted")
    ] = None,
    app_id: releases.AppId = "demo",
    retrain: releases.Retrain = False,
) -> None:
    """Check that history was not edited, deleted or put in another order, and that every signature holds.

    With --release: that a release holds what people granted, and nothing of who left.
    """
    if release is not None:
        if bundle is not None or key or kept:
            raise Failed("--release: is checked by itself, without a file, --key or --kept", UNREADABLE)
        releases.verify(context, release, app_id, retrain)
        return
    if bundle is None or not key:
        missing = "BUNDLE" if bundle is None else "--key"
        raise Failed(f"{missing}: is missing (a file with its --key, or --release)", UNREADABLE)
    _verify_file(bundle, key, kept)


def _verify_file(bundle: Path, key: list[str], kept: list[Path] | None) -> None:
    try:
        keys = Keys.parse(*(_key(each) for each in key))
        before = Kept()
        for path in kept or ():
            keep(before, _read(path), keys)
        with _opened(bundle) as file:
            first = file.readline()
            file.seek(0)
            found = _ledger(file, keys, before) if is_ledger(first) else _receipts(file, keys, before)
    except HistoryChanged as changed:
        raise Failed(
            f"NOT VERIFIED. The first entry that is concerned is number {changed.index}.\n{changed.reason}.",
            FAILED,
        ) from None
    except Unreadable as wrong:
        raise Failed(f"Cannot be checked: {wrong}.", UNREADABLE) from None
    except NotVerified as wrong:
        raise Failed(f"NOT VERIFIED: {wrong}.", FAILED) from None
    _say(found, is_compared=bool(kept))


def _ledger(file: BinaryIO, keys: Keys, before: Kept) -> Verified:
    with Progress(*COLUMNS, console=console, transient=True) as bar:
        task = bar.add_task("checking entries", total=None)

        def tell(done: int, total: int) -> None:
            if done % 500 == 0:
                bar.update(task, completed=done, total=total)

        return verify_ledger(_lines(file), keys, kept=before, progress=tell)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    yield from file


def _receipts(file: BinaryIO, keys: Keys, before: Kept) -> Verified:
    seen = Kept()
    found = verify_receipts(parse(file.read()), keys, seen=seen)
    before.require_agreement(seen)
    return found


def _say(found: Verified, *, is_compared: bool) -> None:
    console.print("Verified.", style="green")
    parts = [
        f"{found.entries:,} entries stand in the log, in order and unchanged",
        f"{found.opened:,} of them were opened and are what the {found.receipts:,} signed receipts say",
        f"{found.checkpoints:,} signed checkpoints agree with them",
    ]
    if found.erased:
        parts.insert(
            2, f"{found.erased:,} were closed by an erasure: nobody can tell any more what they said"
        )
    if found.history:
        parts.append(
            "the consent history has these entries, line for line; what else there is in an export, "
            "beside it, the receipts and the log, is signed by nobody and was not checked"
        )
    if is_compared:
        parts.append("what you kept from before agrees with it")
    console.print("\n".join(f"- {part}." for part in parts), highlight=False)


def _key(given: str) -> str:
    path = Path(given)
    try:
        return path.read_text("utf-8") if path.exists() else given
    except (OSError, UnicodeDecodeError):
        return given


def _read(path: Path) -> bytes:
    with _opened(path) as file:
        return file.read()


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise Failed(f"{path}: {error.strerror or type(error).__name__}", UNREADABLE) from None

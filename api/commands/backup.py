"""`assent backup` and `assent restore`."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from api import backups
from api.backups import BackupFailed
from api.commands.running import Failed, connecting, console, settings_of


def backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where backups lie; each gets a folder of its own")],
) -> None:
    """Back up the database and the releases, and remove backups that outlived their declared lifetime."""
    settings = settings_of(context)
    try:
        made = backups.back_up(settings, folder, datetime.now(UTC))
    except BackupFailed as failed:
        raise Failed(str(failed)) from None
    except OSError as error:
        raise Failed(f"{error.filename or folder}: {error.strerror or type(error).__name__}") from None
    console.print(f"Backed up to {made}.", highlight=False)


def restore(
    context: typer.Context, folder: Annotated[Path, typer.Argument(help="One backup's folder")]
) -> None:
    """Put a backup back, with the service stopped; whoever was erased since goes again."""
    settings = settings_of(context)
    try:
        with connecting():
            restored = asyncio.run(backups.restore(settings, folder, datetime.now(UTC)))
    except BackupFailed as failed:
        raise Failed(str(failed)) from None
    console.print(
        f"Restored the backup of {restored.made_at:%Y-%m-%d %H:%M} UTC. "
        f"Erasures and withdrawals carried out again: {restored.replayed}.",
        highlight=False,
    )

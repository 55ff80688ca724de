"""`assent register`: the register of erasures, when it is lost."""

import typer

from api import replaying
from api.commands.running import console, with_service

app = typer.Typer(no_args_is_help=True, help="The register of erasures: a new one for one that is lost.")


@app.command("new")
def new(context: typer.Context) -> None:
    """Begin a new register where the one that this database was used with is lost; backups from before bring people back."""
    with_service(context, replaying.renew, replay=False)
    console.print(
        "A new register of erasures is begun. Destroy every backup from before now: "
        "whoever was erased since it was taken would come back with it."
    )

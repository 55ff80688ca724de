"""`assent keys`: the keys of partner apps."""

from typing import Annotated

import typer

from api import administration
from api.commands.running import Failed, console, with_service
from api.keys import NewKey, Scope
from api.service import Service

app = typer.Typer(no_args_is_help=True, help="Keys of partner apps: create, revoke.")


@app.command()
def create(
    context: typer.Context,
    app_id: Annotated[str, typer.Option("--app", help="The partner app; registered when it is new")],
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What the key may do; give it several times")
    ] = None,
    name: Annotated[str, typer.Option(help="What the key is for")] = "key",
    days: Annotated[
        int | None, typer.Option(min=1, help="Days that it works; for ever when left out")
    ] = None,
) -> None:
    """Make a key. It is shown once and kept as a hash."""
    scopes = scope or [Scope.RECOMMEND, Scope.EVENTS, Scope.CONSENT, Scope.ERASE]

    async def make(service: Service) -> tuple[bool, NewKey]:
        new = await administration.ensure_app(service, app_id, app_id)
        return new, await administration.create_key(service, app_id, name, scopes, days)

    new, key = with_service(context, make)
    if new:
        console.print(f"Registered the app {app_id}.", highlight=False)
    console.print(
        f"Key {key.key_id} may: {', '.join(sorted(scopes))}. Keep it now, it is not shown again:",
        highlight=False,
    )
    console.print(key.text, soft_wrap=True, highlight=False)


@app.command()
def revoke(
    context: typer.Context, key_id: Annotated[str, typer.Argument(help="The id between the underscores")]
) -> None:
    """Revoke a key at once."""
    if not with_service(context, lambda service: administration.revoke_key(service, key_id)):
        raise Failed(f"there is no key {key_id} in force")
    console.print(f"Key {key_id} is revoked.", highlight=False)

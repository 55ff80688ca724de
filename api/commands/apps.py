"""`assent apps`: the partner apps, and what is set for each."""

from typing import Annotated

import typer

from api.administration import NoSuchApp
from api.commands.running import console, with_service
from api.service import Service
from consent import apps
from consent.apps import App

app = typer.Typer(no_args_is_help=True, help="Partner apps: list, one-click links on and off.")


@app.command("list")
def list_apps(context: typer.Context) -> None:
    """List the apps."""

    async def read(service: Service) -> list[App]:
        async with service.database.read("") as connection:
            return await apps.every_app(connection)

    for each in with_service(context, read):
        typer.echo(f"{each.app_id}  one-click links {'on' if each.one_click else 'off'}  {each.name}")


@app.command("one-click")
def one_click(
    context: typer.Context,
    on: Annotated[bool, typer.Option("--on/--off", help="Whether recommendations carry the link")],
    app_id: Annotated[str, typer.Option("--app", help="The partner app")],
) -> None:
    """Turn the link that deletes a person at one click on or off; links handed out before work until they are over."""

    async def change(service: Service) -> None:
        async with service.database.write(app_id) as connection:
            if not await apps.set_one_click(connection, app_id, on=on):
                raise NoSuchApp(f"there is no app {app_id}: `assent keys create` registers one")

    with_service(context, change)
    console.print(f"One-click links of {app_id} are {'on' if on else 'off'}.", highlight=False)

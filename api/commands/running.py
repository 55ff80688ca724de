"""How a command gets at the service: settings from flags and environment, one event loop, plain words when it fails."""

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from sqlalchemy.exc import DBAPIError

from api import schema
from api.administration import NoSuchApp
from api.replaying import ensure_replayed
from api.schema import SchemaOutdated
from api.service import Service
from api.settings import PREFIX, Settings, SettingsError, load
from consent.register import RegisterUnreadable
from recommender.errors import ClusterUnreachable, WorkersLost
from recommender.progress import Progress

T = TypeVar("T")

console = Console()
complaints = Console(stderr=True)


class Failed(typer.Exit):
    """Ends a command with a message for people."""

    def __init__(self, message: str, code: int = 1) -> None:
        complaints.print(message, style="red", highlight=False, markup=False, soft_wrap=True)
        super().__init__(code)


def settings_options(command: Callable[[typer.Context], None]) -> Callable[..., None]:
    """Give a callback a flag for every setting; what was given ends up in `context.obj`."""

    def with_flags(context: typer.Context, **flags: Any) -> None:
        context.obj = {name: value for name, value in flags.items() if value is not None}
        command(context)

    parameters = [
        inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    ]
    for name, field in Settings.model_fields.items():
        if name == "secret":  # a flag would stand in the list of processes, for everyone to read
            continue
        text = f"{field.description}  [{PREFIX}{name.upper()}]"
        option = typer.Option(f"--{name.replace('_', '-')}", help=text, show_default=False)
        parameters.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
            )
        )
    with_flags.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    with_flags.__doc__ = command.__doc__
    with_flags.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_flags


def settings_of(context: typer.Context, **more: Any) -> Settings:
    """Return the settings of a command."""
    try:
        return load(**{**context.obj, **more})
    except SettingsError as wrong:
        raise Failed(str(wrong), code=2) from None


def with_service(
    context: typer.Context, work: Callable[[Service], Awaitable[T]], *, replay: bool = True
) -> T:
    """Run work on a service whose database is up to date, and close it after.

    Without `replay`, whoever works sees to it that the register of erasures is replayed before people are spoken of.
    """
    settings = settings_of(context)

    async def run() -> T:
        service = Service.create(settings)
        try:
            with connecting():
                async with service.database.read("") as connection:
                    await schema.require_current(connection)
            if replay:
                await ensure_replayed(service)
            return await work(service)
        finally:
            await service.close()

    try:
        return asyncio.run(run())
    except ClusterUnreachable as wrong:
        raise Failed(f"{wrong}: is {PREFIX}TRAINING_CLUSTER right?") from None
    except (SchemaOutdated, NoSuchApp, RegisterUnreadable, WorkersLost) as known:
        raise Failed(str(known)) from None
    except DBAPIError as error:
        raise _unreachable(error) from None
    except OSError as error:
        raise Failed(f"{error.filename or 'failed'}: {error.strerror or type(error).__name__}") from None


@contextlib.contextmanager
def connecting() -> Iterator[None]:
    """Say in plain words when the database cannot be reached."""
    try:
        yield
    except RegisterUnreadable as known:
        raise Failed(str(known)) from None
    except (DBAPIError, OSError) as error:
        raise _unreachable(error) from None


def _unreachable(error: Exception) -> Failed:
    # The class and no more: the message could repeat the address with its password.
    return Failed(f"the database cannot be reached ({type(error).__name__}): is {PREFIX}DATABASE_URL right?")


def progress_of(bar: Any, task: Any) -> Progress:
    """Return what tells a rich progress bar how far a training is."""

    def tell(step: str, part: float) -> None:
        bar.update(task, description=step, completed=part)

    return tell

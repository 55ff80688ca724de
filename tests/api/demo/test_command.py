"""`assent demo`, as it is typed, up to the moment when it would serve."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api import erasing
from api.cli import app
from api.commands.demo import APP_ID
from api.demo.community import user_id
from api.replaying import ensure_replayed
from api.service import Service
from api.settings import Settings

Work = Callable[[Service, socket.socket], Awaitable[Any]]


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `assent demo` in one folder; instead of serving it does some work with the service that would serve."""

    def run(work: Work, *flags: str, **environment: str) -> Result:
        def serve(settings: Settings, *, listening: socket.socket, **_: object) -> None:
            async def working() -> None:
                service = Service.create(settings)
                try:
                    await work(service, listening)
                finally:
                    await service.close()

            with listening:
                asyncio.run(working())

        monkeypatch.setattr("api.serving.serve", serve)
        arguments = [*flags, "demo", "--folder", str(tmp_path / "demo"), "--people", "50"]
        result = CliRunner().invoke(app, arguments, env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_a_demo_begins_anew_after_somebody_left_the_one_before(demo: Callable[..., Result]) -> None:
    """The register of erasures goes with the database and the secret that it was written under: everybody is answered again."""

    async def leave(service: Service, _: socket.socket) -> None:
        async with service.database.write(APP_ID) as connection:
            await erasing.erase(service, connection, APP_ID, service.pseudonyms.user(APP_ID, user_id(1)))
        assert service.register.entries()

    async def look(service: Service, _: socket.socket) -> None:
        await ensure_replayed(service)
        assert not service.register.entries()

    for work in (leave, look):
        assert demo(work, "--port", "0").exit_code == 0


def test_a_demo_listens_where_it_is_told(demo: Callable[..., Result], free_port: int) -> None:
    """By a flag or by the environment; where somebody else has the port, on a free one, and says so."""
    heard: list[tuple[str, int]] = []
    public: list[str] = []

    async def look(service: Service, listening: socket.socket) -> None:
        heard.append(listening.getsockname())
        public.append(service.settings.public_url)

    place = {"ASSENT_HOST": "127.0.0.2", "ASSENT_PORT": str(free_port)}
    assert demo(look, **place).exit_code == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", free_port))
        taken.listen()
        told = demo(look, "--port", str(free_port), ASSENT_HOST="127.0.0.2")
    assert heard[0] == ("127.0.0.2", free_port)
    assert heard[1][1] not in {0, free_port}
    assert public[0] == f"http://127.0.0.2:{free_port}"
    assert f"Port {free_port} is taken" in told.output


@pytest.mark.parametrize(
    "wrong", [("--port", "abc"), ("--port", "70000"), ("--host", "192.0.2.1"), ("--host", "no such")]
)
def test_where_a_demo_cannot_listen_is_told_in_plain_words(
    demo: Callable[..., Result], tmp_path: Path, wrong: tuple[str, str]
) -> None:
    """A port that is none or an address that is not this machine's: nothing is made, and nobody sees a stack."""

    async def nothing(*_: object) -> None:
        raise AssertionError("this must not be served")

    assert demo(nothing, *wrong).exit_code == 2
    assert not (tmp_path / "demo").exists()

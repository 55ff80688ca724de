"""Recommendations per second over HTTP, against a bare endpoint that answers the same bytes and against plain LightFM.

All servers share one core and are asked by turns; the load generator (and PostgreSQL) have the other. Each is asked
in several rounds and its best round counts, since what else the machine does can only take away.
"""

import contextlib
import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load, servers
from benchmarks.load import Measured
from benchmarks.table import Row
from benchmarks.world import Size, user_id

ROUNDS, SECONDS, CONNECTIONS = 6, 2.0, 32
PATH = "/v1/recommendations"


@dataclass(frozen=True)
class World:
    """A database with a trained app in it: the settings that lead there, and a key."""

    database: str
    settings: Mapping[str, str]
    key: str


def compare(worlds: Sequence[World], size: Size, folder: Path) -> list[Row]:
    """Measure every server by turns."""
    bodies = [
        json.dumps({"user_id": user_id(number), "limit": 10, "explain": "full"}).encode()
        for number in range(size.people)
    ]
    core, _ = servers.cores()
    ports: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        for world in worlds:
            ports[world.database] = servers.free_port()
            stack.enter_context(servers.assent(world.settings, ports[world.database], core))
        sizes = (str(size.resources), str(size.people), str(size.events_each))
        answer = folder / "answer.json"
        answer.write_bytes(_ask(ports[worlds[0].database], bodies[0], worlds[0].key))
        for name, module, *arguments in (
            ("bare", "benchmarks.bare", "fastapi", str(answer)),
            ("nothing", "benchmarks.bare", "nothing", str(answer)),
            ("identities", "benchmarks.plain_lightfm", "identities", *sizes),
            ("profiles", "benchmarks.plain_lightfm", "profiles", *sizes),
        ):
            ports[name] = servers.free_port()
            stack.enter_context(servers.running([module, str(ports[name]), *arguments], ports[name], core))
        keys = {world.database: world.key for world in worlds}
        requests = {name: [load.post(PATH, body, keys.get(name, "")) for body in bodies] for name in ports}
        best = _best_rounds(ports, requests)
    return _rows(best, [world.database for world in worlds], answer.stat().st_size)


def _ask(port: int, body: bytes, key: str) -> bytes:
    """Ask once, and make sure that what is measured is a full answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(
        "POST", PATH, body, {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    )
    answer = connection.getresponse().read()
    connection.close()
    told = json.loads(answer)
    lines = [len(item["explanation"]["contributions"]) for item in told["items"]]
    if told["strategy"] != "personalised" or len(lines) != 10 or min(lines) < 25:
        raise RuntimeError(f"not the answer that is to be measured: {told['strategy']}, lines {lines}")
    return answer


def _best_rounds(ports: Mapping[str, int], requests: Mapping[str, Sequence[bytes]]) -> dict[str, Measured]:
    best: dict[str, Measured] = {}
    for _ in range(ROUNDS):
        for name, port in ports.items():
            done = load.measure(port, requests[name], seconds=SECONDS, connections=CONNECTIONS)
            if name not in best or done.per_second > best[name].per_second:
                best[name] = done
    return best


def _rows(best: Mapping[str, Measured], databases: Sequence[str], size: int) -> list[Row]:
    def told(name: str) -> str:
        done = best[name]
        return f"{done.per_second:,.0f}/s, p50 {done.percentile(0.5) * 1000:.1f} ms, p99 {done.percentile(0.99) * 1000:.1f} ms"

    opponents: tuple[tuple[str, str, dict[str, float]], ...] = (
        ("bare", f"bare FastAPI, the same {size / 1000:.0f} kB", {"SQLite": 0.25}),
        ("profiles", "LightFM.predict of the same profiles, sorted", {"SQLite": 1.0, "PostgreSQL": 1.0}),
        ("identities", "LightFM.predict by identity, sorted", {}),
    )
    rows = []
    for database in databases:
        for name, against, targets in opponents:
            ratio, target = best[database].per_second / best[name].per_second, targets.get(database)
            rows.append(
                Row(
                    f"recommendations, {database}",
                    against,
                    ratio,
                    told(database),
                    told(name),
                    "" if target is None else f">= {target:g}",
                    None if target is None else ratio >= target,
                )
            )
    rows.append(Row("load generator's ceiling", "no server at all", None, told("nothing"), ""))
    return rows

"""Runs every benchmark and prints one table: `python -m benchmarks`."""

import argparse
import asyncio
import base64
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from api.serving import environment
from api.settings import load as load_settings
from benchmarks import databases, ingest, memory, recommendations, servers, table, training, world
from benchmarks.recommendations import World
from benchmarks.table import Row
from benchmarks.world import Size

SERVED = Size(resources=2_000, people=400, events_each=30)
LARGE = Size(resources=10_000, people=400, events_each=30)
PARTS = ("recommendations", "events", "training", "memory")


def main() -> None:
    """Measure, one part after the other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, []], help="what to measure; everything when left out"
    )
    parts = parser.parse_args().parts or PARTS
    core, own = servers.cores()
    os.sched_setaffinity(0, {own})
    began = time.monotonic()
    say(
        f"{platform.machine()}, {os.cpu_count()} cores; servers on core {core}, load and PostgreSQL on core {own}"
    )
    with tempfile.TemporaryDirectory() as scratch, databases.postgres(Path(scratch) / "postgres") as postgres:
        rows = measure(parts, Path(scratch), postgres)
    say(f"\n{table.show(rows)}\n\n{time.monotonic() - began:.0f} s in all")
    if any(row.met is False for row in rows):
        sys.exit(1)


def measure(parts: Sequence[str], scratch: Path, postgres: databases.Postgres) -> list[Row]:
    """Measure the parts that are wanted."""
    rows: list[Row] = []
    if {"recommendations", "events"} & set(parts):
        say(f"making two worlds of {SERVED.people} people ...")
        worlds = [
            make("SQLite", f"sqlite:///{scratch / 'bench.db'}", SERVED, scratch),
            make("PostgreSQL", postgres.create("bench"), SERVED, scratch),
        ]
        asyncio.run(postgres.settle("bench"))
        if "recommendations" in parts:
            say("recommendations ...")
            rows += recommendations.compare(worlds, SERVED, scratch)
        if "events" in parts:
            say("events ...")
            rows += ingest.compare(worlds, SERVED, scratch, postgres)
    if "training" in parts:
        say("training ...")
        rows += training.compare()
    if "memory" in parts:
        say(f"making a world of {LARGE.resources:,} resources ...")
        rows += memory.compare(make("large", f"sqlite:///{scratch / 'large.db'}", LARGE, scratch), LARGE)
    return rows


def make(database: str, url: str, size: Size, scratch: Path) -> World:
    """Make a world in an empty database."""
    settings = load_settings(
        {},
        database_url=url,
        secret=base64.b64encode(os.urandom(32)).decode(),
        releases_url=str(scratch / f"releases-{database}"),
    )
    key = asyncio.run(world.build(settings, size))
    return World(database, environment(settings), key)


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


if __name__ == "__main__":
    main()

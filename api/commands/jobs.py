"""`assent jobs`: see what waits, runs or is dead; try it again, or drop it."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from api import jobs
from api.commands.running import Failed, console, with_service
from api.jobs import DEAD, DONE, RUNNING, SECOND, WAITING, Job
from api.service import Service

app = typer.Typer(no_args_is_help=True, help="Work that was asked for: list, try again, drop.")

JobId = Annotated[str, typer.Argument(help="The job's id, as `assent jobs list` shows it")]


@app.command("list")
def list_jobs(
    context: typer.Context,
    status: Annotated[
        list[str] | None, typer.Option(help="waiting, running, dead or done; give it several times")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most")] = 100,
) -> None:
    """Show jobs, oldest first: all that are not done, unless told otherwise."""
    wanted = status or [WAITING, RUNNING, DEAD]
    unknown = sorted(set(wanted) - {WAITING, RUNNING, DEAD, DONE})
    if unknown:
        raise Failed(f"{unknown[0]} is not a status: waiting, running, dead or done", code=2)

    async def read(service: Service) -> tuple[list[Job], int]:
        async with service.database.read("") as connection:
            return list(await jobs.jobs(connection, wanted, limit)), service.clock()

    found, now = with_service(context, read)
    if not found:
        console.print("There are none.")
        return
    rows = [_HEAD, *(_row(each, now) for each in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:  # not a table of rich's: it cuts what is to be copied and searched
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


_HEAD = ("id", "status", "kind", "app", "asked at", "why", "tries", "due in", "last outcome", "about")


def _row(job: Job, now: int) -> tuple[str, ...]:
    asked = f"{datetime.fromtimestamp(job.asked_at / SECOND, UTC):%Y-%m-%dT%H:%M:%SZ}"
    due = f"{max(0, job.due_at - now) // SECOND} s" if job.status == WAITING else ""
    outcome = job.outcome or ""
    return (job.job_id, job.status, job.kind, job.app_id, asked, job.reason, str(job.attempts), due, outcome, job.about)  # fmt: skip


@app.command()
def retry(context: typer.Context, job_id: JobId) -> None:
    """Let a job that is dead, or put off, be taken at once, with all its tries before it."""

    async def work(service: Service) -> bool:
        async with service.database.write("") as connection:
            return await jobs.retry(connection, job_id)

    if not with_service(context, work):
        raise Failed(f"there is no job {job_id} that is dead or waits")
    console.print(f"Job {job_id} is due now.", highlight=False)


@app.command()
def drop(context: typer.Context, job_id: JobId) -> None:
    """Forget a dead job: its work will not be done."""

    async def work(service: Service) -> bool:
        async with service.database.write("") as connection:
            return await jobs.drop(connection, job_id)

    if not with_service(context, work):
        raise Failed(f"there is no dead job {job_id}")
    console.print(f"Job {job_id} is dropped.", highlight=False)

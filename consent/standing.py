"""On which notice a grant stands, as the database says it."""

from sqlalchemy import ColumnElement, case, func, literal_column, select

from consent.tables import consent_cell, notice_ended, notice_revision

NOWHERE = "''"
"""The version, as SQL, on which nothing stands: an app's own material revision ended it."""


def stands_on() -> ColumnElement[str]:
    """Return the SQL expression for the shipped notice that a cell's own is, or words; `NOWHERE` when that has ended.

    Two look-ups in the keys of small tables, both empty for an app that words no notices of its own.
    """
    cell = consent_cell.c
    ended = (
        select(notice_ended.c.ended_by)
        .where(
            notice_ended.c.app_id == cell.app_id,
            notice_ended.c.purpose == cell.purpose,
            notice_ended.c.signal == cell.signal,
            notice_ended.c.version == cell.notice_version,
        )
        .correlate(consent_cell)
        .exists()
    )
    base = (
        select(notice_revision.c.base)
        .where(notice_revision.c.app_id == cell.app_id, notice_revision.c.version == cell.notice_version)
        .correlate(consent_cell)
        .scalar_subquery()
    )
    return case((ended, literal_column(NOWHERE)), else_=func.coalesce(base, cell.notice_version))

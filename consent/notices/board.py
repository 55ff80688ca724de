"""An app's own wordings of the notice: published in all their languages at once, never changed, kept for ever.

A wording is based on a revision that ships with Assent: it says the same facts (`consent.notices.facts`) in other words. Whether
it changed what a yes means, and for which cells, the app says when it publishes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.notices import facts
from consent.notices.published import CellName, Notice, Notices, Revision
from consent.purposes import Purpose
from consent.tables import app, notice_ended, notice_revision, notice_text


@dataclass(frozen=True)
class Draft:
    """A wording to publish: texts by locale, with places for the facts; `touches` is empty for an editorial one."""

    texts: Mapping[str, str]
    touches: frozenset[CellName]


@dataclass(frozen=True)
class Published:
    """An app's revision, and when it was published, in microseconds, UTC."""

    revision: Revision
    published_at: int


class NoticeBoard:
    """The notices of each app: those that ship, and its own after the one that each is based on."""

    def __init__(self, shipped: Notices) -> None:
        self.shipped = shipped
        # What was published never changes, so that it is read once.
        self._known: dict[tuple[str, str], Published] = {}

    async def of(self, connection: AsyncConnection, app_id: str) -> Notices:
        """Return the notices of an app as they stand in this transaction."""
        own = await self.own(connection, app_id)
        return self.shipped.with_own([each.revision for each in own]) if own else self.shipped

    async def headed(self, connection: AsyncConnection, app_id: str) -> tuple[str, Notices]:
        """Return the name of an app, its id when it has no row, and its notices: read at once."""
        columns = notice_revision.c
        rows = (
            await connection.execute(
                select(app.c.name, columns.version, columns.base, columns.published_at)
                .select_from(app)
                .outerjoin(notice_revision, columns.app_id == app.c.app_id)
                .where(app.c.app_id == app_id)
                .order_by(columns.position)
            )
        ).all()
        own = await self._published(
            connection, app_id, [tuple(row[1:]) for row in rows if row.version is not None]
        )
        name = rows[0].name if rows else app_id
        return name, self.shipped.with_own([each.revision for each in own]) if own else self.shipped

    async def own(self, connection: AsyncConnection, app_id: str) -> list[Published]:
        """Return the revisions that an app published, oldest first."""
        listed = await connection.execute(
            select(notice_revision.c.version, notice_revision.c.base, notice_revision.c.published_at)
            .where(notice_revision.c.app_id == app_id)
            .order_by(notice_revision.c.position)
        )
        return await self._published(connection, app_id, [tuple(row) for row in listed])

    async def _published(
        self, connection: AsyncConnection, app_id: str, listed: Sequence[tuple[str, str, int]]
    ) -> list[Published]:
        found = []
        for version, base, published_at in listed:
            if (app_id, version) not in self._known:
                revision = await self._read(connection, app_id, version, base)
                self._known[app_id, version] = Published(revision, published_at)
            found.append(self._known[app_id, version])
        return found

    async def _read(self, connection: AsyncConnection, app_id: str, version: str, base: str) -> Revision:
        texts = await connection.execute(
            select(notice_text.c.locale, notice_text.c.text)
            .where(notice_text.c.app_id == app_id, notice_text.c.version == version)
            .order_by(notice_text.c.place)
        )
        ended = await connection.execute(
            select(notice_ended.c.signal, notice_ended.c.purpose)
            .where(notice_ended.c.app_id == app_id, notice_ended.c.ended_by == version)
            .distinct()
        )
        return Revision(
            version,
            {str(locale): str(text) for locale, text in texts},
            frozenset((signal, purpose) for signal, purpose in ended),
            base,
        )

    async def publish(self, connection: AsyncConnection, app_id: str, draft: Draft, now: int) -> Published:
        """Publish a wording, with its facts in their places; grants on what came before end for the cells it touches.

        Raises:
            MissingFact: a text leaves out a fact, or names what is none.
            sqlalchemy.exc.IntegrityError: another one was published at the same time.
        """
        texts = {locale: facts.fill(text, locale, f"texts.{locale}") for locale, text in draft.texts.items()}
        before = await self.of(connection, app_id)
        base = self.shipped.current_version
        position = len(await self.own(connection, app_id)) + 1
        version = f"{base}.{position}"
        await connection.execute(
            insert(notice_revision).values(
                app_id=app_id, version=version, base=base, position=position, published_at=now
            )
        )
        await connection.execute(
            insert(notice_text),
            [
                {
                    "app_id": app_id,
                    "version": version,
                    "locale": locale,
                    "place": place,
                    "text": text,
                    "sha256": Notice(version, locale, text).sha256,
                }
                for place, (locale, text) in enumerate(texts.items())
            ],
        )
        ended = [
            {"app_id": app_id, "purpose": purpose, "signal": signal, "version": former, "ended_by": version}
            for signal, purpose in sorted(draft.touches)
            for former in before.valid_versions(signal, Purpose(purpose))
        ]
        if ended:
            await connection.execute(insert(notice_ended), ended)
        return Published(Revision(version, texts, draft.touches, base), now)

"""The one way into the ledger: lines are written with their cells and a receipt, and what nobody may keep any more goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from consent import recording
from consent.gate import SignalTable
from consent.ledger import GRANTING, UNDECIDED, Cell, ConsentEvent, cell_after
from consent.log.commitments import Leaf
from consent.minors import Minors
from consent.notices.published import Notices
from consent.purposes import Purpose
from consent.receipts import records as receipts
from consent.receipts.signing import Signer
from consent.recording import Places

Cells = Mapping[tuple[str, Purpose], Cell]


@dataclass(frozen=True)
class Changed:
    """What lines of the ledger left behind."""

    subject_id: str
    receipt: dict[str, Any]
    leaves: Sequence[Leaf]
    """What now stands in the log, in order."""
    cells: Sequence[Cell]
    signals_lost: frozenset[str]
    """Signals that lost their last grant: their events are gone."""
    rows_removed: int
    """How many events that were."""
    ended: frozenset[tuple[str, Purpose]]
    """Cells that were granted in the records before, and whose grant is over; a lapsed one may have been given anew since."""
    improved_since: int | None = None
    """Since when, at the earliest, what ended was granted for `improve`; None when nothing of it was."""
    erasure_id: str | None = None
    """The number under which what ended is erased and unlearned; None when nothing ended."""
    lapsed: "Changed | None" = None
    """The ends, by themselves, that were recorded before, under a receipt of their own; what they lost is counted in."""

    def learned_by(self, read_until: int) -> bool:
        """Whether trainings that read what was granted up to a moment may have learned what they no longer may."""
        return self.improved_since is not None and self.improved_since <= read_until

    def after(self, lapsed: "Changed | None") -> Self:
        """Return the same, with what was lost by ends that were recorded before."""
        if lapsed is None:
            return self
        return replace(
            self,
            signals_lost=self.signals_lost | lapsed.signals_lost,
            rows_removed=self.rows_removed + lapsed.rows_removed,
            ended=self.ended | lapsed.ended,
            improved_since=_earliest(self.improved_since, lapsed.improved_since),
            lapsed=lapsed,
        )


@dataclass(frozen=True)
class Registrar:
    """Enters lines into one app's ledger, under its notices and rules for minors, in its controller's name."""

    app_id: str
    notices: Notices
    controller: receipts.Controller
    signer: Signer
    signal_tables: Sequence[SignalTable]
    minors: Minors

    async def enter(
        self,
        connection: AsyncConnection,
        subject_id: str,
        places: Places,
        lines: Sequence[ConsentEvent],
        before: Cells,
        now: int,
    ) -> Changed:
        """Write lines about one person, all under one receipt, in the transaction of the caller.

        The caller holds the person, and took the lines their places. A grant that ends takes effect here: events of a signal that lost its last one are deleted. The caller sees to
        it that what ended is written in the register, and unlearned.
        """
        after = dict(before)
        for line in lines:
            key = (line.signal, line.purpose)
            after[key] = cell_after(after.get(key), line)
        body = receipts.of_consent(
            lines,
            receipt_id=lines[0].receipt_id,
            app_id=self.app_id,
            subject_id=subject_id,
            controller=self.controller,
            before=before,
        )
        leaves = await recording.record(
            connection, self.app_id, subject_id, places, lines, after, body, self.signer
        )
        lost = self._signals_lost(lines, before, after, now)
        removed = 0
        if lost:
            for table in self.signal_tables:
                removed += await table.withdraw(connection, self.app_id, subject_id, lost)
        ended = frozenset(
            key for key, cell in before.items() if cell.state in GRANTING and after[key].state not in GRANTING
        )
        return Changed(
            subject_id=subject_id,
            receipt=body,
            leaves=leaves,
            cells=[after[key] for key in dict.fromkeys((line.signal, line.purpose) for line in lines)],
            signals_lost=lost,
            rows_removed=removed,
            ended=ended,
            improved_since=_earliest(*(before[key].since for key in ended if key[1] is Purpose.IMPROVE)),
        )

    def _signals_lost(
        self, lines: Sequence[ConsentEvent], before: Cells, after: Cells, now: int
    ) -> frozenset[str]:
        denied = {line.signal for line in lines if line.state not in (*GRANTING, *UNDECIDED)}
        had = {signal for signal, _ in before}
        has = {signal for (signal, _), cell in after.items() if cell.in_force(now, self.notices)}
        return frozenset((denied & had) - has)


def _earliest(*moments: int | None) -> int | None:
    return min((each for each in moments if each is not None), default=None)

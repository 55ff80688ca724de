"""The baseline that reads each person's uptakes as a sequence: self-attention, in PyTorch. It comes with the extra `sasrec`.

One thread, seeded. Nothing else of this project imports torch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from evaluation.baselines.factors import pauses
from evaluation.errors import ScoreError
from evaluation.interactions import Indices, Interactions

_BATCH = 16
"""Few, so that a small data set has steps enough."""
_NEGATIVES = 512
"""Items, the same for a batch, that the next one is told from; all items where there are no more."""


class _Network(nn.Module):  # type: ignore[misc]  # mypy sees torch as untyped, whether it is there or not
    """Items at places become what is expected next, as a point among the items; place 0 of the items is no item."""

    def __init__(self, items: int, components: int, blocks: int, length: int, dropout: float) -> None:
        super().__init__()
        self.items = nn.Embedding(items + 1, components, padding_idx=0)
        self.places = nn.Embedding(length, components)
        for embedding in (self.items, self.places):
            nn.init.normal_(embedding.weight, std=components**-0.5)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                components, 1, 2 * components, dropout, batch_first=True, norm_first=True
            )
            for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(components)

    def forward(self, sequences: Any) -> Any:
        """(B, L, d) of (B, L) items; each place sees itself and those before it, so what fills the end is never seen."""
        length = sequences.shape[1]
        hidden = self.dropout(self.items(sequences) + self.places(torch.arange(length)))
        future = torch.triu(torch.ones(length, length, dtype=torch.bool), diagonal=1)
        for block in self.blocks:
            hidden = block(hidden, src_mask=future)
        return self.norm(hidden)


@dataclass(eq=False)
class SasRec:
    """Self-attention over the latest uptakes; score = <what is expected next, item>.

    Trained to tell each next uptake from sampled items by cross-entropy, which does better than one negative each. Of longer
    histories, each epoch sees another stretch. Whoever has taken up nothing gets zeros.

    Sources: Kang and McAuley, "Self-attentive sequential recommendation", ICDM 2018; the loss: Klenitskiy and Vasilev,
    "Turning dross into gold loss", RecSys 2023.
    """

    components: int = 64
    blocks: int = 1
    dropout: float = 0.3
    learning_rate: float = 2e-3
    length: int = 50
    epochs: int = 100
    seed: int = 0
    _network: Any = field(default=None, repr=False)

    PAUSES = (25, 50, 100)

    def fit(self, train: Interactions) -> Self:
        """Train from a random start; the same seed gives the same network."""
        for _ in self.rounds(train):
            pass
        return self

    def rounds(self, train: Interactions) -> Iterator[int]:
        """See `evaluation.ranking.Iterative`."""
        own = [one for one in _sequences(train, np.arange(len(train.users))) if len(one) > 1]
        random, done = np.random.default_rng(self.seed), 0
        with _own_chance(torch.Generator().manual_seed(self.seed).get_state()) as chance:
            self._network = _Network(
                len(train.items), self.components, self.blocks, self.length, self.dropout
            )
            optimiser = torch.optim.Adam(self._network.parameters(), lr=self.learning_rate, betas=(0.9, 0.98))
            state = chance()
        for pause in pauses(self.PAUSES, self.epochs):
            with _own_chance(state) as chance:
                self._network.train()
                for _ in range(pause - done):
                    self._learn(own, optimiser, random)
                state = chance()
            self._network.eval()
            done = pause
            yield done

    def _learn(self, own: list[NDArray[np.int64]], optimiser: Any, random: np.random.Generator) -> None:
        """Go once over a stretch of each sequence."""
        items = self._network.items.num_embeddings - 1
        order = random.permutation(len(own))
        for start in range(0, len(order), _BATCH):
            given, wanted = _stretches(
                [own[person] for person in order[start : start + _BATCH]], self.length, random
            )
            negatives = torch.from_numpy(
                1 + random.choice(items, min(_NEGATIVES, items), replace=False).astype(np.int64)
            )
            asked = wanted > 0
            hidden, right = self._network(given)[asked], wanted[asked]
            positive = (hidden * self._network.items(right)).sum(dim=1, keepdim=True)
            others = hidden @ self._network.items(negatives).T
            others = others.masked_fill(negatives[None] == right[:, None], float("-inf"))
            logits = torch.cat([positive, others], dim=1)
            loss = nn.functional.cross_entropy(logits, torch.zeros(len(right), dtype=torch.long))
            if not torch.isfinite(loss):
                raise ScoreError("SASRec: the loss is not a finite number")
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    def scores(self, known: Interactions, users: Indices) -> NDArray[np.float32]:
        """(len(users), I) by each one's latest uptakes."""
        latest = [own[-self.length :] for own in _sequences(known, users)]
        given = torch.from_numpy(_filled(latest, self.length))
        ends = torch.tensor([max(len(own), 1) - 1 for own in latest])
        with torch.no_grad(), _one_thread():
            hidden = self._network(given)[torch.arange(len(latest)), ends]
            found = (hidden @ self._network.items.weight[1:].T).numpy()
        return np.where(np.array([len(own) > 0 for own in latest])[:, None], found, np.float32(0))


def _sequences(known: Interactions, users: Indices) -> list[NDArray[np.int64]]:
    """Each one's uptakes in time, items from 1; those of one moment in an order that says nothing."""
    mixed = np.random.default_rng(0).permutation(len(known.items))[known.item]
    items = known.item[np.lexsort((mixed, known.at, known.user))] + 1
    ends = np.searchsorted(known.user, np.arange(len(known.users) + 1))
    return [items[ends[user] : ends[user + 1]].astype(np.int64) for user in users]


def _stretches(own: list[NDArray[np.int64]], length: int, random: np.random.Generator) -> tuple[Any, Any]:
    """(B, L) a stretch of each sequence, and what came next at each place; 0 where there is none."""
    starts = [int(random.integers(0, max(len(one) - length, 1))) for one in own]
    pieces = [one[start : start + length + 1] for one, start in zip(own, starts, strict=True)]
    given, wanted = ([piece[part] for piece in pieces] for part in (slice(-1), slice(1, None)))
    return torch.from_numpy(_filled(given, length)), torch.from_numpy(_filled(wanted, length))


def _filled(own: list[NDArray[np.int64]], length: int) -> NDArray[np.int64]:
    found = np.zeros((len(own), length), dtype=np.int64)
    for row, items in zip(found, own, strict=True):
        row[: len(items)] = items
    return found


@contextmanager
def _own_chance(state: Any) -> Iterator[Any]:
    """One thread, and random numbers from a state of our own; yields how to read the state they have come to."""
    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.set_rng_state(state)
        yield torch.get_rng_state


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

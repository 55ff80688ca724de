import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.parts import BUCKETS, Part, bucket_of, shard_of, shard_part


@given(of=st.integers(1, 64), pseudonym=st.binary(min_size=8, max_size=32))
def test_everybody_is_in_one_shard_however_it_is_asked(of: int, pseudonym: bytes) -> None:
    """The number of a person's shard, the part by its buckets, and the range of pseudonyms agree; no two shards share anybody."""
    seed = np.array([int.from_bytes(pseudonym[:8])], dtype=np.uint64)
    number = shard_of(bucket_of(pseudonym), of)
    for each in range(of):
        part = shard_part(each, of)
        least, beyond = part.bounds
        assert bool(part.holds(seed)[0]) == (each == number)
        assert (least <= pseudonym and (beyond is None or pseudonym < beyond)) == (each == number)


@pytest.mark.parametrize("of", [1, 3, 7, 64])
def test_shards_cover_everybody_in_about_equal_parts(of: int) -> None:
    """Shards stand side by side without a gap, and differ by one bucket at most."""
    parts = [shard_part(number, of) for number in range(of)]
    assert (parts[0].first, parts[-1].end) == (0, BUCKETS)
    assert [part.end for part in parts[:-1]] == [part.first for part in parts[1:]]
    sizes = {part.end - part.first for part in parts}
    assert max(sizes) - min(sizes) <= 1


def test_a_part_is_within_the_whole_and_not_empty() -> None:
    """An empty part, or one beyond the last bucket, raises ValueError; the beginning of a part has a bucket at least."""
    for first, end in ((5, 5), (-1, 3), (0, BUCKETS + 1)):
        with pytest.raises(ValueError, match="within"):
            Part(first, end)
    assert Part(10, 20).beginning(0.0) == Part(10, 11)
    assert Part(10, 20).beginning(0.5) == Part(10, 15)
    assert Part(10, 20).beginning(1.0) == Part(10, 20)

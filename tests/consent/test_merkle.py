"""The Merkle tree: the published vectors of Certificate Transparency, and every tree up to some hundreds of leaves."""

import hashlib
from collections.abc import Callable, Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from consent.errors import ProofError
from consent.log import merkle
from consent.log.merkle import EMPTY_ROOT, Tree

LEAVES = [bytes.fromhex(data) for data in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [bytes.fromhex(root) for root in (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)]  # fmt: skip
INCLUSION = [
    (0, 1, []),
    (0, 8, ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"]),
    (5, 8, ["bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"]),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (1, 5, ["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"]),
]  # fmt: skip
CONSISTENCY = [
    (1, 1, []),
    (1, 8, ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"]),
    (6, 8, ["0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"]),
    (2, 5, ["5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"]),
    (6, 7, ["0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"]),
]  # fmt: skip
"""The test vectors of Certificate Transparency (`MerkleTreeTest` in its C++ and Go code), indices from 0."""

LARGEST = 300


class Grown:
    """A tree with every complete subtree it ever made, as the database keeps them."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.tree = Tree()
        self.nodes: dict[int, bytes] = {}
        self.roots = [EMPTY_ROOT]
        for leaf in leaves:
            made = self.tree.append(merkle.leaf_hash(leaf))
            assert not self.nodes.keys() & {number for number, _ in made}, "a node was made twice"
            self.nodes |= dict(made)
            self.roots.append(self.tree.root)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The inclusion proof of a leaf."""
        return [merkle.range_hash(self.nodes, each) for each in merkle.inclusion_ranges(index, size)]

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The consistency proof of two sizes."""
        return [merkle.range_hash(self.nodes, each) for each in merkle.consistency_ranges(old, new)]


def data(index: int) -> bytes:
    """Some leaf."""
    return b"leaf %d" % index


GROWN = Grown([data(index) for index in range(LARGEST)])
VECTORS = Grown(LEAVES)


def by_definition(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962, word by word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\x01" + by_definition(leaves[:half]) + by_definition(leaves[half:])).digest()


def test_roots_are_those_of_the_vectors() -> None:
    """The empty tree and the trees of one to eight leaves have the published roots."""
    assert VECTORS.roots[0].hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert VECTORS.roots[1:] == ROOTS


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_inclusion_proofs_are_those_of_the_vectors(index: int, size: int, proof: list[str]) -> None:
    """The published inclusion proofs are what is made, and verify."""
    assert [each.hex() for each in VECTORS.inclusion(index, size)] == proof
    merkle.verify_inclusion(
        merkle.leaf_hash(LEAVES[index]), index, size, VECTORS.inclusion(index, size), ROOTS[size - 1]
    )


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCY)
def test_consistency_proofs_are_those_of_the_vectors(old: int, new: int, proof: list[str]) -> None:
    """The published consistency proofs are what is made, and verify."""
    assert [each.hex() for each in VECTORS.consistency(old, new)] == proof
    merkle.verify_consistency(old, new, VECTORS.consistency(old, new), ROOTS[old - 1], ROOTS[new - 1])


def test_every_size_has_the_root_of_the_definition() -> None:
    """Growing leaf by leaf gives MTH of RFC 6962 at every size, and so does the edge put together from stored nodes."""
    for size in range(LARGEST + 1):
        assert GROWN.roots[size] == by_definition([data(index) for index in range(size)])
        assert Tree.of(size, GROWN.nodes).root == GROWN.roots[size]


def test_every_leaf_of_every_tree_is_provable() -> None:
    """Inclusion verifies for each index of each size, takes at most log2 hashes, and a logarithmic number of stored nodes."""
    for size in range(1, LARGEST + 1):
        bits = (size - 1).bit_length()
        for index in range(size):
            proof = GROWN.inclusion(index, size)
            merkle.verify_inclusion(merkle.leaf_hash(data(index)), index, size, proof, GROWN.roots[size])
            assert len(proof) <= bits
            assert len(merkle.numbers_of(merkle.inclusion_ranges(index, size))) <= 2 * bits


def test_every_tree_contains_every_earlier_one() -> None:
    """Consistency verifies for every pair of sizes, and takes at most one hash more than log2."""
    for new in range(LARGEST + 1):
        for old in range(new + 1):
            proof = GROWN.consistency(old, new)
            merkle.verify_consistency(old, new, proof, GROWN.roots[old], GROWN.roots[new])
            assert len(proof) <= new.bit_length() + 1


SIZES = st.integers(1, LARGEST)


@settings(max_examples=300)
@given(st.data())
def test_no_other_inclusion_verifies(draw: st.DataObject) -> None:
    """Another leaf, index, size, root or proof (a hash changed, missing, added, or two swapped) is refused."""
    size = draw.draw(SIZES)
    index = draw.draw(st.integers(0, size - 1))
    leaf, proof, root = merkle.leaf_hash(data(index)), GROWN.inclusion(index, size), GROWN.roots[size]
    other = draw.draw(st.integers(-2, LARGEST).filter(lambda number: number != index))
    with pytest.raises(ProofError):
        merkle.verify_inclusion(leaf, other, size, proof, root)
    with pytest.raises(ProofError):
        merkle.verify_inclusion(merkle.leaf_hash(data(LARGEST)), index, size, proof, root)
    with pytest.raises(ProofError):
        merkle.verify_inclusion(leaf, index, size, proof, EMPTY_ROOT)
    for changed in changes(draw, proof):
        with pytest.raises(ProofError):
            merkle.verify_inclusion(leaf, index, size, changed, root)


@settings(max_examples=300)
@given(st.data())
def test_no_other_consistency_verifies(draw: st.DataObject) -> None:
    """Other roots or another proof are refused; a tree whose past was changed has no proof at all."""
    new = draw.draw(SIZES)
    old = draw.draw(st.integers(1, new))
    proof, roots = GROWN.consistency(old, new), (GROWN.roots[old], GROWN.roots[new])
    for wrong in ((EMPTY_ROOT, roots[1]), (roots[0], EMPTY_ROOT)):
        with pytest.raises(ProofError):
            merkle.verify_consistency(old, new, proof, *wrong)
    for changed in changes(draw, proof):
        with pytest.raises(ProofError):
            merkle.verify_consistency(old, new, changed, *roots)
    edited = draw.draw(st.integers(0, old - 1))
    forged = Grown([data(LARGEST if index == edited else index) for index in range(new)])
    with pytest.raises(ProofError):
        merkle.verify_consistency(old, new, forged.consistency(old, new), roots[0], forged.roots[new])


def changes(draw: st.DataObject, proof: list[bytes]) -> list[list[bytes]]:
    """Proofs that differ from this one."""
    made = [[*proof, EMPTY_ROOT], [EMPTY_ROOT, *proof]]
    if proof:
        place = draw.draw(st.integers(0, len(proof) - 1))
        bit = draw.draw(st.integers(0, 255))
        flipped = bytearray(proof[place])
        flipped[bit // 8] ^= 1 << bit % 8
        made += [proof[:-1], proof[1:], [*proof[:place], bytes(flipped), *proof[place + 1 :]]]
    if len(proof) > 1:
        made.append([proof[1], proof[0], *proof[2:]])
    return made


@settings(max_examples=300)
@given(
    index=st.integers(-(2**70), 2**70), size=st.integers(-(2**70), 2**70),
    proof=st.lists(st.binary(max_size=40), max_size=80), leaf=st.binary(max_size=40), root=st.binary(max_size=40),
)  # fmt: skip
def test_nonsense_is_refused(index: int, size: int, proof: list[bytes], leaf: bytes, root: bytes) -> None:
    """Whatever stands in for a proof, the answer is a ProofError and nothing else."""
    assume(leaf != root)
    with pytest.raises(ProofError):
        merkle.verify_inclusion(leaf, index, size, proof, root)
    with pytest.raises(ProofError):
        merkle.verify_consistency(index, size, proof, leaf, root)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: merkle.inclusion_ranges(0, 0), lambda: merkle.inclusion_ranges(3, 3), lambda: merkle.inclusion_ranges(-1, 3),
        lambda: merkle.consistency_ranges(4, 3), lambda: merkle.consistency_ranges(-1, 3),
    ],
)  # fmt: skip
def test_there_is_no_proof_of_what_is_not_there(ask: Callable[[], object]) -> None:
    """Asking for a proof outside the tree is an error, never an empty proof."""
    with pytest.raises(ValueError, match="must"):
        ask()


def test_nodes_are_numbered_as_in_rfc_9420() -> None:
    """Leaf i is node 2i; the parent of nodes 0 and 2 is 1, that of 1 and 5 is 3; no two subtrees share a number."""
    assert [merkle.node_number(0, index) for index in range(4)] == [0, 2, 4, 6]
    assert [merkle.node_number(1, 0), merkle.node_number(1, 1), merkle.node_number(2, 0)] == [1, 5, 3]
    numbers = [merkle.node_number(level, position) for level in range(9) for position in range(256 >> level)]
    assert sorted(numbers) == list(range(511))

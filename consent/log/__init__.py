"""The transparency log: a Merkle tree of commitments to consent events, with signed checkpoints and proofs."""

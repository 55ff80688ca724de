"""Verify a receipt with its proof, and no code of ours: python verify_receipt.py receipt.json keys.json."""

import base64, hashlib, hmac, json, sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
receipt, keys = (json.load(open(name)) for name in sys.argv[1:3])
text, _, signatures = receipt["proof"]["checkpoint"].rpartition("\n\n")
key, signature = map(base64.b64decode, (keys["log"].split("+", 2)[2], signatures.split()[2]))
Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature[4:], f"{text}\n".encode())  # or raises
_, size, root = text.split("\n")[:3]
for told in receipt.pop("proof")["entries"]:  # what is left of the receipt is what was signed
    entry, path = told["entry"], map(base64.b64decode, told["proof"])
    leaf = hmac.digest(base64.b64decode(told["leaf_key"]), canonical(entry).encode(), "sha256")
    node, index, last = hashlib.sha256(b"\0" + leaf).digest(), entry["seq"], int(size) - 1
    while last:  # up the tree, row by row; the last node of a row may stand alone
        if index & 1 or index < last:
            node = hashlib.sha256(b"\1" + (next(path) + node if index & 1 else node + next(path))).digest()
        index, last = index >> 1, last >> 1
    assert node == base64.b64decode(root), "the entry is not in the log"
    assert entry["receipt_sha256"] == hashlib.sha256(canonical(receipt).encode()).hexdigest(), "edited"
    print("in the log:", entry)

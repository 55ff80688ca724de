"""What the API answers about the transparency log; described here for the OpenAPI document."""

from pydantic import BaseModel, ConfigDict, Field

_HASH = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


class InclusionOut(BaseModel):
    """An inclusion proof (RFC 6962, 2.1.1)."""

    index: int = Field(description="Place of the entry in the log, from 0", examples=[17])
    size: int = Field(description="Size of the log that it is proved to be in", examples=[1200])
    leaf: str = Field(
        description="What stands there: a keyed commitment of 32 bytes, in base64",
        examples=[_HASH],
    )
    proof: list[str] = Field(
        description="The hashes from the leaf up, in base64",
        examples=[[_HASH]],
    )


class ConsistencyOut(BaseModel):
    """A consistency proof (RFC 6962, 2.1.2)."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    old: int = Field(alias="from", description="Size of the older log", examples=[800])
    to: int = Field(description="Size of the newer log", examples=[1200])
    proof: list[str] = Field(
        description="The hashes that join the two, in base64",
        examples=[[_HASH]],
    )


class LogKeysOut(BaseModel):
    """The public keys of an app's log and receipts."""

    origin: str = Field(
        description="The log's name, as its checkpoints carry it",
        examples=["assent/6d1f0c4e9a3b5d7788990a1b2c3d4e5f"],
    )
    log: str = Field(
        description="The log's verifier key (C2SP signed-note): name, key id, and Ed25519 key in base64",
        examples=["PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"],
    )
    receipts: dict[str, list[dict[str, str]]] = Field(
        description="The keys of the receipts: the JWK set of /.well-known/jwks.json",
        examples=[
            {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}
        ],
    )


class PlaceOut(BaseModel):
    """Where an entry stands in the log."""

    index: int = Field(description="Its place, from 0", examples=[17])
    leaf: str = Field(
        description="What stands there: a keyed commitment of 32 bytes, in base64", examples=[_HASH]
    )


class PromisedOut(BaseModel):
    """Where the entries of a change stand in the log."""

    entries: list[PlaceOut] = Field(description="One for each choice, in order")


class OpenedOut(PlaceOut):
    """An entry of the log, opened and proved."""

    leaf_key: str = Field(description="The key that opens it, and no other, in base64", examples=[_HASH])
    entry: dict[str, str | int | bool] = Field(
        description="The line of the ledger that the leaf commits to",
        examples=[{"seq": 17, "signal": "views", "purpose": "personalise", "state": "given"}],
    )
    proof: list[str] | None = Field(
        description="The inclusion proof up to the checkpoint's root, in base64", examples=[[_HASH]]
    )


class ProvedOut(BaseModel):
    """Entries with what shows that they stand in the log."""

    checkpoint: str | None = Field(
        description="The signed checkpoint that the proofs lead to",
        examples=[
            "logs.example/1f\n18\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n\u2014 logs.example/1f AAAA\n"
        ],
    )
    entries: list[OpenedOut] = Field(description="The entries, in order")


class GrewOut(BaseModel):
    """That the log only grew since an older checkpoint (RFC 6962, 2.1.2)."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    since: int = Field(alias="from", description="Size of the older checkpoint", examples=[12])
    root: str = Field(description="The root it has to have, in base64", examples=[_HASH])
    proof: list[str] = Field(
        description="The consistency proof up to the newer checkpoint's root", examples=[[_HASH]]
    )


class ReceiptProofOut(ProvedOut):
    """What shows that a receipt is genuine: its signature, and that its entries stand in the log."""

    jws: str = Field(
        description="The signed receipt (RFC 7515): what it signs are the other members of the document",
        examples=["eyJhbGciOiJFZDI1NTE5In0.e30.AA"],
    )
    consistency: GrewOut | None = Field(None, description="Where `since` was asked for")


class ReceiptOut(BaseModel):
    """A receipt (fields of ISO/IEC TS 27560), and its proof where that was asked for."""

    model_config = ConfigDict(extra="allow")

    receipt_id: str = Field(description="Its id", examples=["9f86d081884c7d659a2feaa0c55ad015"])
    proof: ReceiptProofOut | None = Field(
        None, description="With `?proof=true`; without it, the document is exactly what was signed"
    )


LOG = (PromisedOut, ReceiptOut, InclusionOut, ConsistencyOut, LogKeysOut)

"""Receipts in other systems' formats, held to their specifications: FHIR by models made from its definitions, Kantara by its schema's rules.

Kantara's work group published a JSON schema (github.com/KantaraInitiative/consent-receipt-v-next, folder `CR_v1_1`: 1.1.0, draft 6 of 2017-11-17) under
Kantara's own IPR policy, which grants nobody leave to pass it on. So the file is not here; its rules are, as models
that also ask for what the specification's text asks for beyond them.
"""

import json
from typing import Annotated, Any, Literal

import pytest
from fhir.resources.consent import Consent
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consent.ledger import Actor, State
from consent.receipts import fhir, kantara
from tests.consent.test_receipts import PERSON, RECEIPT, line, receipt


class Closed(BaseModel):
    """An object that has these members and no other, of exactly these types."""

    model_config = ConfigDict(strict=True, extra="forbid")


Text = Annotated[str, Field(min_length=1)]


class KantaraController(Closed):
    """`piiControllers` of the Consent Receipt Specification 1.1: all but onBehalf are required."""

    piiController: Text  # noqa: N815  the specification's names, here and below
    onBehalf: bool = False  # noqa: N815
    contact: str
    address: dict[str, str]
    email: str
    phone: str


class KantaraPurpose(Closed):
    """`purposes` of a service; a third party's name is required where there is disclosure."""

    purpose: Text
    purposeCategory: Annotated[list[Text], Field(min_length=1)]  # noqa: N815
    consentType: Literal["EXPLICIT", "IMPLICIT"]  # noqa: N815
    piiCategory: Annotated[list[Text], Field(min_length=1)]  # noqa: N815
    primaryPurpose: bool  # noqa: N815
    termination: Text
    thirdPartyDisclosure: Literal[False]  # noqa: N815


class KantaraService(Closed):
    """`services`."""

    service: Text
    purposes: list[KantaraPurpose]


class KantaraReceipt(Closed):
    """The header, all required but `publicKey` and `language`; times are whole seconds since 1970."""

    version: Literal["KI-CR-v1.1.0"]
    jurisdiction: Text
    consentTimestamp: Annotated[int, Field(gt=0)]  # noqa: N815
    collectionMethod: Text  # noqa: N815
    consentReceiptID: Text  # noqa: N815
    publicKey: str | None = None  # noqa: N815
    language: Text
    piiPrincipalId: Text  # noqa: N815
    piiControllers: Annotated[list[KantaraController], Field(min_length=1)]  # noqa: N815
    policyUrl: Annotated[str, Field(pattern="^https?://")]  # noqa: N815
    services: Annotated[list[KantaraService], Field(min_length=1)]
    sensitive: bool
    spiCat: list[str]  # noqa: N815


def test_a_kantara_receipt_has_the_fields_of_its_specification() -> None:
    """Every required member, of its type, and none that the specification does not know."""
    told = kantara.document(receipt(line(), line(signal="check_ins")))
    KantaraReceipt.model_validate(told)
    assert told["consentTimestamp"] == 1_790_000_000
    assert (told["consentReceiptID"], told["piiPrincipalId"]) == (RECEIPT, PERSON)
    assert [each["piiCategory"] for each in told["services"][0]["purposes"]] == [["views"], ["check_ins"]]
    assert (told["sensitive"], told["spiCat"]) == (True, ["health"])


REQUIRED = {
    (): (
        "version", "jurisdiction", "consentTimestamp", "collectionMethod", "consentReceiptID", "piiPrincipalId",
        "piiControllers", "services", "policyUrl", "sensitive", "spiCat",
    ),
    ("piiControllers", 0): ("piiController", "contact", "address", "email", "phone"),
    ("services", 0): ("service", "purposes"),
    ("services", 0, "purposes", 0): (
        "consentType", "purposeCategory", "piiCategory", "termination", "thirdPartyDisclosure",
    ),
}  # fmt: skip
"""What the published schema requires of each object, by the way to it."""


@pytest.mark.parametrize("way", REQUIRED, ids=str)
@pytest.mark.parametrize("left_out", [True, False], ids=["left out", "of another type"])
def test_what_the_kantara_schema_refuses_is_found_out(way: tuple[str | int, ...], left_out: bool) -> None:
    """Each member that the schema requires is there, and the models that hold our receipts notice when it is not, or is of another type."""
    for name in REQUIRED[way]:
        told = kantara.document(receipt(line()))
        inner: Any = told
        for step in way:
            inner = inner[step]
        assert name in inner
        if left_out:
            del inner[name]
        else:
            inner[name] = "another type" if isinstance(inner[name], list) else ["another type"]
        with pytest.raises(ValidationError):
            KantaraReceipt.model_validate(told)


@pytest.mark.parametrize("state", [state for state in State if state not in {State.GIVEN, State.RENEWED}])
def test_kantara_is_told_of_no_consent_that_was_not_given(state: State) -> None:
    """The format has no other state: what was refused, or has ended, is left out."""
    told = kantara.document(receipt(line(state), line(state, "check_ins")))
    KantaraReceipt.model_validate(told)
    assert told["services"][0]["purposes"] == []
    assert not told["sensitive"]


CODES = {"status": ("active", "inactive"), "decision": ("deny",)}
"""What receipts use of the value sets that R5 requires."""


def consent(*lines: Any) -> dict[str, Any]:
    """The Consent resource of a receipt of these lines, held to R5 by the models that are generated from its definitions."""
    told = fhir.document(receipt(*lines))
    read = Consent.model_validate_json(json.dumps(told))
    again = json.loads(read.model_dump_json())
    assert again == json.loads(
        json.dumps(told).replace(".000Z", "Z")
    )  # an instant is written without its zeros
    assert all(told[name] in codes for name, codes in CODES.items())
    return told


@pytest.mark.parametrize(
    "wrong",
    [{"consented": True}, {"decision": ["deny"]}, {"grantor": {"display": "nobody"}}, {"date": "today"}],
)
def test_what_is_no_fhir_consent_is_found_out(wrong: dict[str, Any]) -> None:
    """A member that R5 has not, a list for one value, one value for a list, and no date are each refused."""
    with pytest.raises(ValidationError):
        Consent.model_validate_json(json.dumps(fhir.document(receipt(line())) | wrong))


def test_a_fhir_consent_denies_but_for_what_was_given() -> None:
    """The base decision is deny; a provision is there for each grant, and health data is labelled as restricted."""
    told = consent(line(), line(State.REFUSED, "saves"), line(signal="check_ins"))
    assert (told["status"], told["decision"]) == ("active", "deny")
    assert [each["code"][0]["coding"][0]["code"] for each in told["provision"]] == ["views", "check_ins"]
    assert ["securityLabel" in each for each in told["provision"]] == [False, True]
    assert told["subject"]["identifier"]["value"] == PERSON
    assert told["date"] == "2026-09-21"


@pytest.mark.parametrize("state", [state for state in State if state not in {State.GIVEN, State.RENEWED}])
def test_a_fhir_consent_without_a_grant_permits_nothing(state: State) -> None:
    """It is inactive, denies, and has no provision."""
    told = consent(line(state))
    assert (told["status"], told["decision"], "provision" in told) == ("inactive", "deny", False)


def test_a_guardian_grants_as_a_related_person() -> None:
    """Who chose is the grantor; the person stays the subject."""
    told = consent(line(actor=Actor("guardian", "aa" * 32)))
    assert (told["grantor"][0]["type"], told["subject"]["type"]) == ("RelatedPerson", "Patient")
    assert told["grantor"][0]["identifier"]["value"] == "aa" * 32

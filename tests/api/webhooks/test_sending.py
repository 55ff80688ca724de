"""Sending over TLS: the connection goes to the address that was checked, and the certificate must be for the name."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from api.webhooks.addresses import Policy, networks
from api.webhooks.sending import Sender
from tests.api.webhooks.receiver import receiving

NAME = "hooks.app.example"


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for NAME, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    today = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    public, private = tmp_path / "certificate.pem", tmp_path / "key.pem"
    public.write_bytes(certificate.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(public, private)
    return server, ssl.create_default_context(cafile=str(public))


class Rebinding:
    """A resolver that says this machine once, and metadata services ever after."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, _host: str, _port: int) -> Sequence[str]:
        """Answer what is next."""
        self.asked += 1
        return [self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]]


def policy(resolve: Rebinding) -> Policy:
    """What tests allow: this machine, over https."""
    return Policy(networks("127.0.0.0/8"), resolve=resolve)


async def test_the_address_that_was_checked_is_the_one_connected_to(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """A name is looked up once; a second answer, which would lead elsewhere, is never asked for. Host and certificate are the name's."""
    server, trusting = contexts
    async with receiving(certificates=server) as receiver:
        rebinding = Rebinding("127.0.0.1", "169.254.169.254")
        sender = Sender(policy(rebinding), trusting)
        assert await sender.send(f"https://{NAME}:{receiver.port}/hooks?a=b", {}, b"{}") == "status_204"
        assert rebinding.asked == 1
        (got,) = receiver.got
        assert got.line == "POST /hooks?a=b HTTP/1.1"
        assert got.headers["host"] == f"{NAME}:{receiver.port}"
        assert await sender.send(f"https://{NAME}:{receiver.port}/hooks", {}, b"{}") == "not_allowed"
        assert len(receiver.got) == 1


async def test_a_certificate_for_another_name_is_refused(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """Neither another name, nor the address itself, nor an unknown authority gets a message."""
    server, trusting = contexts
    async with receiving(certificates=server) as receiver:
        for host, context in [
            ("other.app.example", trusting),
            ("127.0.0.1", trusting),
            (NAME, ssl.create_default_context()),
        ]:
            sender = Sender(policy(Rebinding("127.0.0.1")), context)
            assert await sender.send(f"https://{host}:{receiver.port}/", {}, b"{}") == "connection"
        assert receiver.got == []


async def test_the_next_address_is_tried_when_one_is_dead(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """Of several addresses of a name, the first that takes a connection gets the message, once."""
    server, trusting = contexts

    async def both(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.99", "127.0.0.1"]

    async with receiving(certificates=server) as receiver:
        sender = Sender(Policy(networks("127.0.0.0/8"), resolve=both), trusting)
        assert await sender.send(f"https://{NAME}:{receiver.port}/", {}, b"{}") == "status_204"
        assert len(receiver.got) == 1


@pytest.mark.parametrize("elsewhere", ["https://xn--a/", "https://[::1/", "https://app.example:port/"])
async def test_a_redirect_to_no_host_is_a_failure_like_others(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], elsewhere: str
) -> None:
    """Where a redirect leads may be nothing that can be read as a URL: that is told in a word, and raises nothing."""
    server, trusting = contexts
    async with receiving(certificates=server, behaviours=["redirect"]) as receiver:
        receiver.elsewhere = elsewhere
        sender = Sender(policy(Rebinding("127.0.0.1")), trusting)
        assert await sender.send(f"https://{NAME}:{receiver.port}/", {}, b"{}") == "connection"
        assert len(receiver.got) == 1


async def test_an_internationalised_name_is_certified_as_it_is_sent(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """The name in the handshake is the A-label that the request's Host names too."""
    server, trusting = contexts
    asked: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with receiving(certificates=server) as receiver:
        sender = Sender(policy(Rebinding("127.0.0.1")), trusting)
        await sender.send(f"https://straße.example:{receiver.port}/", {}, b"{}")
    assert asked == ["xn--strae-oqa.example"]


async def test_proxies_of_the_environment_are_not_used(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would connect wherever it likes, past every check."""
    server, trusting = contexts
    async with receiving(certificates=server) as receiver, receiving() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        sender = Sender(policy(Rebinding("127.0.0.1")), trusting)
        assert await sender.send(f"https://{NAME}:{receiver.port}/", {}, b"{}") == "status_204"
        assert proxy.got == []


def test_this_machine_is_not_public() -> None:
    """What these tests allow is nothing that is allowed by itself."""
    assert not Policy().permits(ipaddress.ip_address("127.0.0.1"))

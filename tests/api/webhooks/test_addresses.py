"""Where webhooks may go: the open Internet over https, and nowhere else unless a setting allows it."""

from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.webhooks.addresses import NotAllowed, Policy, is_public, networks
from tests.api.witness import ON_SQLITE
from tests.conftest import Caller

INSIDE = (
    "0.0.0.0",  # noqa: S104  nothing is bound to it
    "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "168.63.129.16",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.1.1", "198.18.0.1",
    "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::10.0.0.1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1",
    "64:ff9b:1::a00:1", "100::1", "2001::1", "2001:db8::1", "2002:a00:1::", "3fff::1", "fc00::1", "fd00:ec2::254",
    "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1",
)  # fmt: skip
OUTSIDE = ("1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1",
           "2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8")  # fmt: skip


def answering(*addresses: str) -> Policy:
    """A policy whose names resolve to these."""

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return Policy(resolve=resolve)


@pytest.mark.parametrize("address", INSIDE)
async def test_what_is_inside_is_refused(address: str) -> None:
    """Private, loopback, link-local, carrier-grade, metadata, multicast and reserved addresses, in every disguise."""
    assert not is_public(ip_address(address))
    policy = answering(address)
    with pytest.raises(NotAllowed):
        await policy.addresses(policy.check_url("https://app.example/hooks"))
    if "%" not in address:
        literal = f"[{address}]" if ":" in address else address
        with pytest.raises(NotAllowed):
            policy.check_url(f"https://{literal}/hooks")


@pytest.mark.parametrize("address", OUTSIDE)
async def test_what_is_outside_is_reached(address: str) -> None:
    """Public addresses of both kinds, right up to the edges of what is refused."""
    policy = answering(address)
    assert await policy.addresses(policy.check_url("https://app.example/hooks")) == [ip_address(address)]


async def test_one_bad_address_among_good_ones_refuses_the_name() -> None:
    """A name that leads outside and inside is refused: which of the two would be asked is chance."""
    policy = answering("8.8.8.8", "10.0.0.1")
    with pytest.raises(NotAllowed):
        await policy.addresses(policy.check_url("https://app.example/"))


async def test_what_a_name_resolves_to_is_told_to_nobody() -> None:
    """A name that leads inside and one that leads nowhere are refused in the same words."""
    told = set()
    for policy in (answering("10.0.0.1"), answering(), answering("no address")):
        with pytest.raises(NotAllowed) as refused:
            await policy.addresses(policy.check_url("https://app.example/"))
        told.add(str(refused.value))
    assert len(told) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://app.example/", "ftp://app.example/", "app.example", "", "https://", "https:///hooks", "//app.example/",
        "https://user:secret@app.example/", "https://user@app.example/", "https://app.example/#part", "https://127.0.0.1/",
        "https://[::1]/", "https://localhost/", "https://LOCALHOST./", "https://a.localhost/", "https://app.example:99999/",
        "https://app.exa mple/", "https://app.example/\n", "https://\x00/", "javascript:alert(1)", "file:///etc/passwd",
        "https://xn--a/", "https://xn--zz.example/hooks",
    ],
)  # fmt: skip
def test_urls_that_are_none(url: str) -> None:
    """Other schemes, no host, A-labels that are none, credentials, fragments and literal addresses inside are refused without asking a resolver."""
    with pytest.raises(NotAllowed):
        Policy().check_url(url)


@ON_SQLITE
@pytest.mark.parametrize("url", ["https://xn--a/", "https://xn--zz.example/hooks"])
async def test_a_host_that_there_cannot_be_is_no_url(client: Caller, url: str) -> None:
    """What looks like an internationalised name and cannot be read as one is 422, and names the field."""
    answer = await client.post("/v1/subscriptions", {"url": url, "types": ["consent.changed"]})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "url")


@pytest.mark.parametrize(
    ("host", "sent"),
    [("straße.example", "xn--strae-oqa.example"), ("exämple.example", "xn--exmple-cua.example")],
)
async def test_the_name_that_is_resolved_is_the_one_that_is_sent(host: str, sent: str) -> None:
    """An internationalised name is resolved as its A-label, the one that the request names; the older IDNA would ask for another host."""
    asked = []

    async def resolve(name: str, _port: int) -> Sequence[str]:
        asked.append(name)
        return ["8.8.8.8"]

    policy = Policy(resolve=resolve)
    url = policy.check_url(f"https://{host}/hooks")
    await policy.addresses(url)
    assert asked == [sent] == [url.netloc.decode()]


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1"])
async def test_addresses_in_odd_spellings(host: str) -> None:
    """A number that the system's resolver takes for an address inside is caught where it is resolved."""
    policy = Policy()
    with pytest.raises(NotAllowed):
        await policy.addresses(policy.check_url(f"https://{host}/"))


async def test_the_operator_may_allow_more() -> None:
    """A network that is allowed is reached, under its IPv4-mapped name too; its neighbours are not. Plain http is allowed apart."""
    policy = Policy(networks("10.1.0.0/16, ::1/128"))
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "::1"):
        assert policy.permits(ip_address(address))
    for address in ("10.2.0.1", "127.0.0.1", "::2"):
        assert not policy.permits(ip_address(address))
    with pytest.raises(NotAllowed):
        policy.check_url("http://10.1.2.3/")
    assert Policy(policy.allowed, plain_http=True).check_url("http://10.1.2.3/").host == "10.1.2.3"


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    """Whatever is sent as a URL is either one or NotAllowed, and nothing else is raised."""
    try:
        url = Policy().check_url(text)
    except NotAllowed:
        return
    assert url.scheme == "https"
    assert url.host

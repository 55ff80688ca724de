"""Sending one webhook: to an address that was checked, within a bounded time, reading no more of the answer than its status."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from api.webhooks.addresses import Address, NotAllowed, Policy, wire_host

ATTEMPT_S = 10.0
"""Seconds that one attempt may take, from looking up the name to the status of the answer."""
GOODBYE = int(ATTEMPT_S * 1_000_000)
"""Microseconds that an erasure's notice waits: should a message about the person be under way, it ends first."""


@dataclass(frozen=True)
class Sender:
    """Sends webhooks where the policy allows it."""

    policy: Policy
    certificates: ssl.SSLContext
    attempt_s: float = ATTEMPT_S

    @classmethod
    def create(cls, policy: Policy) -> "Sender":
        """Return a sender that trusts the usual authorities."""
        return cls(policy, httpx.create_ssl_context())

    async def send(self, text: str, headers: Mapping[str, str], body: bytes) -> str:
        """Send one message; return what became of it, in a word: `status_204`, `timeout`, `connection`, `not_allowed`.

        Redirects are not followed, proxies of the environment not used, and of the answer only the status is read.
        """
        try:
            async with asyncio.timeout(self.attempt_s):
                url = self.policy.check_url(text)
                return await self._post(url, await self.policy.addresses(url), headers, body)
        except NotAllowed:
            return "not_allowed"
        except (TimeoutError, httpx.TimeoutException):
            return "timeout"
        except (httpx.HTTPError, ssl.SSLError, OSError):
            return "connection"
        except (httpx.InvalidURL, UnicodeError):
            # Where a redirect leads is read although it is not followed, and may be no URL, or no host that there can be.
            return "connection"

    async def _post(
        self, url: httpx.URL, addresses: Sequence[Address], headers: Mapping[str, str], body: bytes
    ) -> str:
        # A client for each message: connections to one address must not be shared between names.
        async with httpx.AsyncClient(
            verify=self.certificates, trust_env=False, follow_redirects=False, timeout=self.attempt_s
        ) as client:
            for place, address in enumerate(addresses, start=1):
                request = client.build_request(
                    "POST",
                    url.copy_with(host=str(address)),
                    content=body,
                    headers={
                        "host": url.netloc.decode("ascii"),
                        "content-type": "application/json",
                        "user-agent": "Assent-Webhooks/1",
                        "connection": "close",
                        **headers,
                    },
                    # The certificate is checked against the name, although the connection goes to the address.
                    extensions={"sni_hostname": wire_host(url)},
                )
                try:
                    response = await client.send(request, stream=True)
                except (httpx.ConnectError, httpx.ConnectTimeout):
                    if place == len(addresses):
                        raise
                    continue
                await response.aclose()
                return f"status_{response.status_code}"
        raise NotAllowed("there is nowhere to connect to")


def accepted(result: str) -> bool:
    """Tell whether a message arrived: any status from 200 to 299."""
    return result.startswith("status_2")

"""Whose a request is. A client owns what it opens: a browser's session, an account, or on loopback all that shows no cookie."""

from __future__ import annotations

import ipaddress

from starlette.requests import Request

# In a request's scope: who asks, and the machine that the connection is from.
CLIENT, PEER = "medvlm.client", "medvlm.peer"


def client_of(request: Request) -> str:
    """Who asks: the account or the session, as the entrance found it, else the network address."""
    return request.scope.get(CLIENT) or network_of(request.client.host if request.client else "")


def user_of(client: str) -> str:
    """The account or address that a client counts for: "alice session 3f…" → "alice"."""
    return client.partition(" ")[0]


def network_of(host: str) -> str:
    """A network address as the name of a client: of IPv6 the half that names the network, one name for all of loopback."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_loopback:
        return "loopback"
    return str(ipaddress.ip_network((int(address), 64), strict=False)) if address.version == 6 else str(address)

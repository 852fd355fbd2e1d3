"""What is said first on a new connection: all of it in one write, so it costs one round trip or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comity_redis.packing import pack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comity_redis.address import Address


def greeting(address: Address, credentials: tuple[str, ...] | None) -> list[bytes]:
    """Return the commands that log in, name the connection, choose the database and ask for the role, if any."""
    login, commands = address.login, []
    if credentials:
        commands.append(pack("AUTH", *credentials))
    if name := login.get("client_name"):
        commands.append(pack("CLIENT", "SETNAME", name))
    if db := int(login.get("db") or 0):
        commands.append(pack("SELECT", db))
    if address.primary:
        commands.append(pack("ROLE"))
    return commands


def fixed_credentials(login: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return user and password as given, or None when there are none."""
    username, password = login.get("username"), login.get("password")
    if username:
        return (username, password or "")
    return (password,) if password else None


def credentials(login: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return what AUTH takes, asking the caller's credential provider if there is one."""
    provider = login.get("credential_provider")
    return fixed_credentials(login) if provider is None else tuple(provider.get_credentials())


async def acredentials(login: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return what AUTH takes without blocking the event loop."""
    provider = login.get("credential_provider")
    if provider is None:
        return fixed_credentials(login)
    return tuple(await provider.get_credentials_async())

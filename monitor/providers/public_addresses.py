"""Decides which addresses a stranger on the Internet could reach, and opens sockets to no others.

Hosts are checked where a socket is made for an address, after every lookup: what a name resolves to at another moment,
how an address is spelled in a URL, and who redirected there make no difference.
"""

import ipaddress
import socket
from typing import Final

from aiohappyeyeballs import AddrInfoType

_NOT_PUBLIC_IPV4: Final = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",
            "100.64.0.0/10",  # behind a carrier's NAT; some clouds keep their metadata here
            "127.0.0.0/8",
            "168.63.129.16/32",  # looks public, but is the host of a virtual machine in Azure
            "169.254.0.0/16",  # link-local, with the metadata of most clouds
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
"""The registry of special-purpose addresses (IANA, RFC 6890), multicast, and what clouds use besides."""

_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""All that has been given out of IPv6. What lies outside is local, multicast, reserved, or holds an IPv4 address."""
_NOT_PUBLIC_IPV6: Final = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocol assignments, with Teredo
            "2001:db8::/32",  # documentation
            "3fff::/20",  # documentation
        ),
    )
)
_IPV4_AT_THE_END: Final = tuple(map(ipaddress.IPv6Network, ("::ffff:0:0/96", "64:ff9b::/96")))
"""IPv4-mapped (RFC 4291, section 2.5.5.2), and NAT64 as everybody does it (RFC 6052)."""


class AddressRefusedError(OSError):
    """The address is none that a stranger could reach."""


def is_public(address: str) -> bool:
    """Whether `address`, as a socket takes it, is one of the open Internet. Anything but an address is not."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        return _is_public_ipv6(parsed)
    return _is_public_ipv4(parsed)


def open_public_socket(address: AddrInfoType) -> socket.socket:
    """A socket for one answer of a lookup. Raises AddressRefusedError."""
    family, kind, protocol, _, where = address
    if not is_public(str(where[0])):
        raise AddressRefusedError("the address is not public")
    return socket.socket(family, kind, protocol)


def _is_public_ipv4(address: ipaddress.IPv4Address) -> bool:
    return not any(address in network for network in _NOT_PUBLIC_IPV4)


def _is_public_ipv6(address: ipaddress.IPv6Address) -> bool:
    """An address that stands for one of IPv4 is as public as that one."""
    if any(address in network for network in _IPV4_AT_THE_END):
        return _is_public_ipv4(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    if address.sixtofour is not None:
        return _is_public_ipv4(address.sixtofour)
    return address in _GLOBAL_UNICAST and not any(address in network for network in _NOT_PUBLIC_IPV6)

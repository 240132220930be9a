"""Which addresses a stranger could reach."""

import ipaddress
import socket

import pytest
from aiohappyeyeballs import AddrInfoType
from hypothesis import given
from hypothesis import strategies as st

from monitor.providers.public_addresses import AddressRefusedError, is_public, open_public_socket

PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0"),
    *("11.0.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "192.167.255.255", "223.255.255.255"),
    *("2606:4700:4700::1111", "2a00:1450:4001::200e", "2400:cb00::1", "2001:4860:4860::8888"),
    *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"),
]
NOT_PUBLIC = {
    "this network": ["0.0.0.0", "0.1.2.3"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "fc00::1", "fd12:3456::1", "fec0::1"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "link-local": ["169.254.0.1", "fe80::1", "fe80::1%eth0", "febf::1"],
    "metadata of a cloud": ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"],
    "behind a carrier's NAT": ["100.64.0.0", "100.127.255.255"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "benchmarks": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "reserved and broadcast": ["240.0.0.1", "255.255.255.255", "4000::1", "e000::1"],
    "nowhere": ["::", "100::1"],
    "IPv4 inside of IPv6": ["::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "::ffff:0:127.0.0.1"],
    "NAT64": ["64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8"],
    "6to4 and Teredo": ["2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:a00:1::", "2001:0:808:808::1", "192.88.99.1"],
    "no address": [
        "",
        "localhost",
        "127.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "127.0.0.1.",
        " 1.1.1.1",
        "1.1.1.1\0",
    ],
}


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(("why", "address"), [(why, address) for why, them in NOT_PUBLIC.items() for address in them])
def test_not_public(why: str, address: str) -> None:
    assert not is_public(address), why


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_inside_of_ipv6_is_no_more_public_than_itself(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for holder in (f"::ffff:{address}", f"64:ff9b::{address}", f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1"):
        assert is_public(holder) == is_public(str(address))
    assert not is_public(f"::{address}")


@given(st.ip_addresses())
def test_what_the_standard_library_calls_not_global_is_not_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """But for addresses of IPv6 that stand for one of IPv4, which it judges by the outside."""
    holds_ipv4 = isinstance(address, ipaddress.IPv6Address) and (address.sixtofour or address.ipv4_mapped)
    if is_public(str(address)) and not holds_ipv4 and address not in ipaddress.ip_network("64:ff9b::/96"):
        assert address.is_global
        assert not address.is_multicast


@given(st.text(max_size=40))
def test_any_text_has_an_answer(text: str) -> None:
    assert is_public(text) in (True, False)


def info(address: str, family: socket.AddressFamily = socket.AF_INET) -> AddrInfoType:
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 443))


def test_a_socket_is_made_for_a_public_address() -> None:
    with open_public_socket(info("8.8.8.8")) as opened:
        assert opened.family is socket.AF_INET
        assert opened.type is socket.SOCK_STREAM


def test_no_socket_is_made_for_another() -> None:
    with pytest.raises(AddressRefusedError):
        open_public_socket(info("127.0.0.1"))
    with pytest.raises(AddressRefusedError):
        open_public_socket(info("::ffff:7f00:1", socket.AF_INET6))

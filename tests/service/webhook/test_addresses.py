"""Which addresses are public: those that lead nowhere else than to a host on the internet."""

import pytest

from streetlight.service.webhook.addresses import is_public


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "172.15.0.1", "192.0.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"],
)
def test_a_host_on_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        # IPv4: this host, private networks, carriers, link-local with metadata, tests, multicast.
        "0.0.0.1", "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "172.31.255.255",
        "192.168.1.1", "100.64.0.1", "100.127.255.254", "169.254.169.254", "192.0.0.8",
        "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250",
        "192.88.99.1", "240.0.0.1", "255.255.255.255",
        # IPv6: this host, local, documentation, multicast, discard, site-local, not assigned.
        "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1",
        "3fff::1", "fec0::1", "2001:db8::1", "4000::1", "::127.0.0.1",
        # An IPv4 address in an IPv6 address: mapped, NAT64, local NAT64, 6to4, Teredo.
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:a00:1", "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::101:101", "2002:7f00:1::", "2002:101:101::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)  # fmt: skip
def test_any_other_address_is_not(address: str) -> None:
    assert not is_public(address)

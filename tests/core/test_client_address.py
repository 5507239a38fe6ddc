"""Only what trusted proxies wrote counts; what a client writes itself changes nothing."""

from __future__ import annotations

import pytest
from django.test import RequestFactory
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.client_address import client_address, client_key


def address(*, peer: str = "10.0.0.1", forwarded: str | None = None) -> str:
    request = RequestFactory().get("/", REMOTE_ADDR=peer)
    if forwarded is not None:
        request.META["HTTP_X_FORWARDED_FOR"] = forwarded
    return client_address(request)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, None, "10.0.0.1"),
        (0, "203.0.113.7", "10.0.0.1"),
        (1, "203.0.113.7", "203.0.113.7"),
        (1, " 203.0.113.7 ", "203.0.113.7"),
        (1, "6.6.6.6, 203.0.113.7", "203.0.113.7"),
        (1, "6.6.6.6,203.0.113.7", "203.0.113.7"),
        (2, "6.6.6.6, 203.0.113.7, 198.51.100.1", "203.0.113.7"),
        # Not through the proxies: the connection is all there is.
        (1, None, "10.0.0.1"),
        (1, "", "10.0.0.1"),
        (2, "203.0.113.7", "10.0.0.1"),
        # Not an address.
        (1, "unknown", "10.0.0.1"),
        (1, "203.0.113.7, ", "10.0.0.1"),
        (1, "203.0.113.256", "10.0.0.1"),
        # With a port.
        (1, "203.0.113.7:4711", "203.0.113.7"),
        (1, "[2001:db8:1:2::3]:4711", "2001:db8:1:2::/64"),
        (1, "[2001:db8:1:2::3]", "2001:db8:1:2::/64"),
        # IPv6: the network of the household.
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (1, "2001:0DB8:0001:0002::ffff", "2001:db8:1:2::/64"),
        (1, "fe80::1%eth0", "fe80::/64"),
        (1, "::ffff:203.0.113.7", "203.0.113.7"),
    ],
)
def test_the_client_is_the_nth_from_the_right(settings, proxies, forwarded, expected):
    settings.NUM_PROXIES = proxies

    assert address(forwarded=forwarded) == expected


@pytest.mark.parametrize(
    ("peer", "expected"),
    [("::1", "::/64"), ("::ffff:127.0.0.1", "127.0.0.1"), ("", "unknown"), ("unix:", "unknown")],
)
def test_the_connection_has_an_address_too(settings, peer, expected):
    settings.NUM_PROXIES = 0

    assert address(peer=peer) == expected


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(forged=st.text(), proxies=st.integers(1, 3))
def test_nothing_that_a_client_writes_changes_its_address(settings, forged, proxies):
    settings.NUM_PROXIES = proxies
    appended = ["203.0.113.7", "198.51.100.1", "198.51.100.2"][:proxies]

    assert address(forwarded=", ".join([forged, *appended])) == "203.0.113.7"


def test_the_stored_key_does_not_hold_the_address_and_differs_per_address():
    assert "203.0.113" not in client_key("203.0.113.7")
    assert client_key("203.0.113.7") == client_key("203.0.113.7") != client_key("203.0.113.8")

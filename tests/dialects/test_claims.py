from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.claims import Claims
from streamproxy.model import ListenAddress, Transport

addresses = st.builds(
    ListenAddress,
    st.sampled_from(Transport),
    st.sampled_from(["0.0.0.0", "127.0.0.1", "10.0.0.1", "::", "::1"]),
    st.sampled_from([80, 443]),
)


def test_the_owner_of_an_address_is_named() -> None:
    claims = Claims()
    claims.take(ListenAddress(Transport.TCP, "127.0.0.1", 80), "first")
    assert claims.owner(ListenAddress(Transport.TCP, "127.0.0.1", 80)) == "first"
    assert claims.owner(ListenAddress(Transport.TCP, "0.0.0.0", 80)) == "first"
    assert claims.owner(ListenAddress(Transport.UDP, "0.0.0.0", 80)) is None


@given(st.lists(addresses, max_size=8), addresses)
def test_an_address_is_owned_when_it_overlaps(taken: list[ListenAddress], asked: ListenAddress) -> None:
    claims = Claims()
    free: list[ListenAddress] = []
    for address in taken:
        if claims.owner(address) is None:
            claims.take(address, str(address))
            free.append(address)
    overlapping = {str(address) for address in free if address.overlaps(asked)}
    owner = claims.owner(asked)
    assert owner in overlapping if overlapping else owner is None

"""What the egress is made of: offers of routes, and what stands of those that have not offered yet."""

import base64

from smallmodel_operator.boundary.declared import MOST, dump, parse
from smallmodel_operator.boundary.offers import Offer, fitting, merged, owner, stored

A = Offer(parse("support/desk/cloud", "https://api.example.com/v1"), "key-a")
B = Offer(parse("support/desk/other", "https://other.example.com", credential=False))
C = Offer(parse("crm/front/cloud", "https://api.example.com/v1"), "key-c")


def by_name(*offers: Offer) -> dict[str, Offer]:
    return {offer.host.name: offer for offer in offers}


def test_an_offer_replaces_all_of_its_route() -> None:
    assert owner(A.host.name) == ("support", "desk")
    assert merged(by_name(A, C), {("support", "desk"): [B]}, None) == by_name(B, C)
    assert merged(by_name(A, C), {("support", "desk"): []}, None) == by_name(C)


def test_a_route_that_is_gone_has_no_host() -> None:
    assert merged(by_name(A, C), {}, {("crm", "front")}) == by_name(C)
    assert merged({}, {("support", "desk"): [A]}, set()) == {}
    assert merged(by_name(A), {}, None) == by_name(A), "nobody knows yet"


def test_a_new_host_pushes_none_out() -> None:
    many = by_name(*(Offer(parse(f"n/r/t{i}", "https://a.example.com", credential=False)) for i in range(MOST)))
    first = Offer(parse("a/a/a", "https://a.example.com", credential=False))
    assert fitting({**many, **by_name(first)}, many) == many
    assert len(fitting({**many, **by_name(first)}, ())) == MOST
    assert first.host.name in fitting({**many, **by_name(first)}, ())


def test_what_is_there_is_read_back() -> None:
    config_map = {"data": {"hosts.json": dump([A.host, B.host])}}
    secret = {"data": {"support.desk.cloud": base64.b64encode(b"key-a").decode()}}
    assert stored(config_map, secret) == by_name(A, B)
    assert stored(config_map, None) == by_name(B), "a host without the credential it has to have does not count"


def test_what_cannot_be_read_is_nothing() -> None:
    good = {"data": {"hosts.json": dump([A.host])}}
    assert stored(None, None) == {}
    assert stored({"data": {"hosts.json": "{"}}, None) == {}
    assert stored(good, {"data": {"support.desk.cloud": "%"}}) == {}
    assert stored(good, {"data": {"support.desk.cloud": base64.b64encode(b"\xff").decode()}}) == {}


def test_a_credential_is_in_no_text() -> None:
    assert "key-a" not in repr(A)

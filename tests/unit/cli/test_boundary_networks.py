"""`slm boundary networks`: only what nodes say and models' pods do not contradict."""

from typing import Any

import pytest
from tests.fakes.apiserver import FakeApiServer

from smallmodel_operator.cli.boundary_networks import networks, show


def node(name: str, *cidrs: str, **spec: Any) -> dict[str, Any]:
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    return {**body, "spec": {**({"podCIDR": cidrs[0], "podCIDRs": list(cidrs)} if cidrs else {}), **spec}}


def pod(name: str, *addresses: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": "support", "labels": {"smallmodel.dev/role": "server"}}
    status = {"podIPs": [{"ip": address} for address in addresses]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {}, "status": status}


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([], []),
        ([node("a")], []),
        ([node("a", "10.244.0.0/24")], ["10.244.0.0/24"]),
        ([node("a", "10.244.0.0/24"), node("b", "10.244.1.0/24")], ["10.244.0.0/23"]),
        ([node("a", "10.244.0.0/24", "fd00:1::/64"), node("b", "10.244.7.0/24")],
         ["10.244.0.0/24", "10.244.7.0/24", "fd00:1::/64"]),
        ([node("a", podCIDR="10.244.0.0/24")], ["10.244.0.0/24"]),
    ],
)  # fmt: skip
def test_networks_of_nodes(nodes: list[dict[str, Any]], expected: list[str]) -> None:
    assert [str(network) for network in networks(nodes)] == expected


async def test_they_are_options_for_the_report(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    connected.put(node("a", "10.244.0.0/24", "fd00:1::/64"))
    connected.put(pod("bot-1", "10.244.0.7", "fd00:1::7"))
    connected.put(pod("bot-2"))
    assert await show() == 0
    assert capsys.readouterr().out == "--inside 10.244.0.0/24 --inside fd00:1::/64\n"
    asked = next(sent for sent in connected.sent if sent.path.endswith("/pods"))
    assert asked.query == {"labelSelector": "smallmodel.dev/role=server"}


@pytest.mark.parametrize("address", ["10.9.0.7", "fd00:2::7"])
async def test_a_models_pod_elsewhere_says_that_nodes_do_not_tell(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    connected.put(node("a", "10.244.0.0/24", "fd00:1::/64"))
    connected.put(pod("bot-1", address))
    assert await show() == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert f"Pod support/bot-1 has address {address}, which is in none of the networks" in said.err
    assert "ippools" in said.err


async def test_nodes_that_say_nothing(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    connected.put(node("a"))
    assert await show() == 1
    assert "No Node says which network its pods are in" in capsys.readouterr().err


async def test_without_the_right_it_says_so(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    connected.refuse("GET", "/nodes", 403, "Forbidden", "you may not list nodes")
    assert await show() == 1
    assert "you may not list nodes: this takes the right to list Nodes" in capsys.readouterr().err

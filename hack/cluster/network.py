"""The network of one cluster: a namespace of its own with no way out, and a veth pair the host reaches it over."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LEFT: Final = "slm-left"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses of cluster number `index` (0 to 50); clusters of different numbers live side by side."""

    index: int

    @property
    def host(self) -> str:
        return f"198.18.{self.index}.1"

    @property
    def node(self) -> str:
        return f"198.18.{self.index}.2"

    @property
    def pods(self) -> str:
        return f"10.{100 + self.index}.0.0/16"

    @property
    def services(self) -> str:
        return f"10.{160 + self.index}.0.0/16"

    @property
    def dns(self) -> str:
        return f"10.{160 + self.index}.0.10"


def _ip(*words: str, check: bool = True) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def namespace(name: str) -> str:
    return f"slm-{name}"


def prefix(name: str) -> tuple[str, ...]:
    """Words that run a program inside. Not `ip netns exec`, which remounts /sys and hides the cgroups."""
    return ("nsenter", f"--net=/run/netns/{namespace(name)}")


def up(name: str, addresses: Addresses) -> None:
    """Make the namespace and its veth pair; doing it again changes nothing."""
    ns, inside, outside = namespace(name), "uplink", _outside(addresses)
    if not Path(f"/run/netns/{ns}").exists():
        _ip("netns", "add", ns)
    inner = ("-n", ns)
    _ip(*inner, "link", "set", "lo", "up")
    if not Path(f"/sys/class/net/{outside}").exists():
        _ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", ns)
    _ip("address", "replace", f"{addresses.host}/30", "dev", outside)
    _ip("link", "set", outside, "up")
    _ip(*inner, "address", "replace", f"{addresses.node}/30", "dev", inside)
    _ip(*inner, "link", "set", inside, "up")
    # Components want a default route to choose an address by; this one leads to a bridge without members.
    _ip(*inner, "link", "add", "nowhere", "type", "bridge", check=False)
    _ip(*inner, "link", "set", "nowhere", "up")
    _ip(*inner, "route", "replace", "default", "dev", "nowhere", "src", addresses.node)
    for network in (addresses.pods, addresses.services):
        _ip("route", "replace", network, "via", addresses.node, "dev", outside)
    for setting in ("net.ipv4.ip_forward=1", "net.bridge.bridge-nf-call-iptables=1"):
        subprocess.run([*prefix(name), "sysctl", "-qw", setting], check=False, capture_output=True)
    _answer_names(name, addresses)
    _count_what_leaves(name)


def _count_what_leaves(name: str) -> None:
    """Who wanted to send what out of the cluster: addresses, protocol and packets, for `left`.

    Not counted: link-local addresses, which no router passes on (clouds have their metadata there), and multicast.
    """
    table = f"""
table ip {LEFT}
table ip {LEFT} {{
  set {LEFT} {{
    type ipv4_addr . ipv4_addr . inet_proto
    size 1024
    flags dynamic
    counter
  }}
  chain out {{
    type filter hook postrouting priority 0;
    oifname "nowhere" ip daddr != {{ 169.254.0.0/16, 224.0.0.0/4 }} add @{LEFT} {{ ip saddr . ip daddr . meta l4proto }}
  }}
}}
"""
    if not _nft(name, "list", "table", "ip", LEFT).returncode:
        return  # what was counted stays
    done = _nft(name, "-f", "-", text=table)
    if done.returncode:
        raise RuntimeError(f"nft: {done.stderr.strip()}")


def left(name: str) -> list[str]:
    """What anything in the cluster sent to an address outside since it was brought up: one line for each way.

    Raises:
        RuntimeError: nobody counts.
    """
    done = _nft(name, "-j", "list", "set", "ip", LEFT, LEFT)
    if done.returncode:
        raise RuntimeError(f"nft: {done.stderr.strip()}")
    found = next(part["set"] for part in json.loads(done.stdout)["nftables"] if "set" in part)
    ways = [item["elem"] for item in found.get("elem", ())]
    return [f"{' > '.join(map(str, w['val']['concat']))}: {w['counter']['packets']} packets" for w in ways]


def _nft(name: str, *words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*prefix(name), "nft", *words], input=text, capture_output=True, text=True)


def _answer_names(name: str, addresses: Addresses) -> None:
    """Questions of the node's own programs go to the cluster's DNS, which knows at once what does not exist.

    They read the host's resolv.conf, whose servers nothing here can reach: each image of an unknown registry
    would take a minute to fail.
    """
    rules = "".join(
        f"    {kind} dport 53 ip daddr != {{ {addresses.node}, {addresses.dns} }} dnat to {addresses.node}:53\n"
        for kind in ("udp", "tcp")
    )
    table = (
        "table ip slm-names {}\ndelete table ip slm-names\n"
        "table ip slm-names {\n  chain output {\n    type nat hook output priority -100;\n" + rules + "  }\n}\n"
    )
    done = _nft(name, "-f", "-", text=table)
    if done.returncode:
        raise RuntimeError(f"nft: {done.stderr.strip()}")


def down(name: str, addresses: Addresses) -> None:
    """Remove both; what is gone already is no error."""
    _ip("link", "del", _outside(addresses), check=False)
    _ip("netns", "del", namespace(name), check=False)


def _outside(addresses: Addresses) -> str:
    return f"slm{addresses.index}"

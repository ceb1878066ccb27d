"""Nodes side by side on one machine share nothing that only one of them can have."""

import re
import tomllib
from pathlib import Path

from hack.cluster.node_config import containerd_config


def test_two_containerds_have_no_place_in_common() -> None:
    places = []
    for name in ("one", "two"):
        text = containerd_config(Path(f"/cache/{name}"), Path(f"/run/{name}"), Path(f"/cache/{name}/cni"), ())
        config = tomllib.loads(text)
        # Its default is one socket for the whole machine: of two that begin at once one would end.
        assert config["plugins"]["io.containerd.nri.v1.nri"] == {"disable": True}
        places.append(set(re.findall(r'(?<![\[,] )"(/[^"]*)"$', text, re.MULTILINE)))
    assert len(places[0]) >= 6
    assert not places[0] & places[1]

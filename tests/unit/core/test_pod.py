"""Every pod starts from these values; builders may not share them."""

from smallmodel_operator.core import pod


def test_values_are_fresh_each_time() -> None:
    pod.container_security()["capabilities"]["drop"].append("X")
    assert pod.container_security()["capabilities"] == {"drop": ["ALL"]}
    pod.pod_security()["seccompProfile"]["type"] = "Unconfined"
    assert pod.pod_security()["seccompProfile"] == {"type": "RuntimeDefault"}


def test_an_owner_controls_and_blocks() -> None:
    ref = pod.owner_reference("bot", "u")
    assert (ref["kind"], ref["uid"], ref["controller"], ref["blockOwnerDeletion"]) == ("SmallModel", "u", True, True)

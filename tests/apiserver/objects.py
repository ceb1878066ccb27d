"""Objects the API server tests apply, and small questions about what comes back."""

from typing import Any

DIGEST = "sha256:" + "a" * 64
ENGINE = "registry.test/slm/llamacpp@sha256:" + "e" * 64

NODE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "fake-0", "annotations": {"kwok.x-k8s.io/node": "fake"}},
    "status": {
        "allocatable": {"cpu": "1k", "memory": "10Ti", "pods": "10000"},
        "capacity": {"cpu": "1k", "memory": "10Ti", "pods": "10000"},
    },
}


def profile(name: str = "default", cpu: str = "100m", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "ComputeProfile",
        "metadata": {"name": name},
        "spec": {"engines": [{"name": "LlamaCpp", "image": ENGINE}], "perReplica": {"cpu": cpu}, **spec},
    }


PROFILE = profile()


def model(namespace: str, name: str = "bot", *, memory: str | None = "64Mi", **spec: Any) -> dict[str, Any]:
    """A SmallModel; with a memory request its pods do not wait for the inspection."""
    compute = spec.pop("compute", {})
    if memory:
        compute = {"resources": {"requests": {"memory": memory}}, **compute}
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "SmallModel",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "source": {"uri": f"oci://registry.test/models/bot@{DIGEST}", "path": "model.gguf"},
            **({"compute": compute} if compute else {}),
            **spec,
        },
    }


def condition(body: dict[str, Any] | None, name: str) -> dict[str, Any]:
    """A condition; the body must be there and must have it."""
    assert body is not None, "the object is gone"
    found = [c for c in body.get("status", {}).get("conditions", []) if c["type"] == name]
    assert found, f"no condition {name} yet: {body.get('status')}"
    return found[0]


def stands(body: dict[str, Any] | None, **wanted: str) -> dict[str, Any]:
    """Assert conditions by their reason (`Ready="Serving"`), decided on the present generation."""
    for name, reason in wanted.items():
        found = condition(body, name)
        assert found["reason"] == reason, found
        assert body is not None
        assert found["observedGeneration"] == body["metadata"]["generation"], found
    assert body is not None
    return body

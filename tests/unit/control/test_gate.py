"""Golden prompts through the whole flow: tried, let in, asked again, degraded; each step written once and told once."""

from typing import Any

import pytest
from tests.fakes import objects
from tests.fakes.apiserver import FakeApiServer
from tests.unit.control.test_reconcile import DECLARED, READY, World

from smallmodel_operator.core.trial import Answers, Result, Trial

CHECKS = {"golden": {"configMapRef": {"name": "questions"}}}
LINE = '{"id": "closing", "prompt": "SECRET", "expect": {"exact": "SECRET"}}'


class Asked(World):
    """A world in which trials are answered by the test."""

    def __init__(self, api: FakeApiServer) -> None:
        super().__init__(api)
        self.trials: tuple[Trial, ...] = ()
        self.results: dict[str, Result] = {}
        self.observer.trials = lambda _: self.results
        self.reconciler.want_trials = self._want
        self.pods: list[dict[str, Any]] = []

    def _want(self, _: Any, uid: str, trials: tuple[Trial, ...]) -> None:
        assert uid == objects.UID
        self.trials = trials

    async def step(self) -> list[str]:
        self.children.pods = lambda _: tuple(self.pods)  # type: ignore[method-assign]
        return await super().step()

    def pod(self, role: str, address: str) -> None:
        made = objects.ready(f"bot-{role}")
        made["metadata"]["labels"]["smallmodel.dev/role"] = role
        made["status"]["podIP"] = address
        self.pods.append(made)

    def answer(self, *failed: str) -> None:
        self.results |= {t.key: Answers(failed, 100) for t in self.trials if t.golden is not None}


@pytest.fixture
def asked(api: FakeApiServer) -> Asked:
    return Asked(api)


async def test_from_the_first_try_to_a_degraded_answer(asked: Asked) -> None:
    meta = {"name": "questions", "namespace": "support"}
    asked.api.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"golden.jsonl": LINE}})
    asked.create(compute=DECLARED, checks=CHECKS)
    assert "Deployment" not in await asked.step()
    assert asked.condition("Ready") == ("False", "AskingGolden")
    assert asked.trials == ()
    asked.pod("candidate", "10.0.0.2")
    await asked.step()
    (gate,) = asked.trials
    assert (gate.address, gate.consistency) == ("10.0.0.2", True)
    asked.answer()
    assert "Deployment" in await asked.step()
    assert asked.condition("QualityMet") == ("True", "GoldenPassed")
    assert not [key for key in asked.api.objects if key[0] == "Job" and "golden" in key[2]]

    asked.pods.clear()
    asked.pod("server", "10.0.0.3")
    asked.controllers(**READY)
    await asked.step()
    assert asked.condition("Ready") == ("True", "Serving")
    assert {t.address for t in asked.trials} == {"10.0.0.3"}
    asked.answer("closing")
    await asked.step()
    assert asked.condition("QualityMet") == ("False", "QualityDegraded")
    assert asked.condition("Ready") == ("True", "Serving")
    assert ("Warning", "QualityDegraded") in asked.events()
    assert await asked.step() == [], "said once"
    assert "SECRET" not in str([o for key, o in asked.api.objects.items() if key[0] != "ConfigMap"])


async def test_without_golden_prompts_nothing_is_left_of_them(asked: Asked) -> None:
    meta = {"name": "questions", "namespace": "support"}
    asked.api.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"golden.jsonl": LINE}})
    asked.create(compute=DECLARED, checks=CHECKS)
    await asked.step()
    asked.pod("candidate", "10.0.0.2")
    await asked.step()
    asked.answer()
    await asked.step()
    assert asked.body()["status"]["quality"]["running"]["items"] == 1
    asked.edit(checks={})
    await asked.step()
    (written,) = [sent.body["status"] for sent in asked.api.sent if sent.write and sent.body["kind"] == "SmallModel"]
    assert "quality" not in written
    assert "quality" not in str(written["conditions"]).lower()

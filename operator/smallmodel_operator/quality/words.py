"""What is said of golden prompts: ids and numbers, never a text."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.trial import GoldenSet
from smallmodel_operator.quality.paired import Verdict

NAMED: Final = 10
"""Ids in a sentence; status has them all."""


def serving(record: Mapping[str, Any], adapters: Mapping[str, str]) -> Report:
    """How the version that serves answers: as it did when it was let in, or not. `adapters`: asked, by prompt id."""
    failed, accepted = set(record.get("failed") or ()), set(record.get("accepted") or ())
    if degraded := sorted(failed - accepted):
        said = (
            f"What serves does not answer {ids(degraded, adapters)} as expected ({len(failed)} of "
            f"{record['items']} golden prompts in all). Ask them by hand, go back to an earlier version, or correct "
            "what is expected."
        )
        return Report(Condition.QUALITY_MET, False, Reason.QUALITY_DEGRADED, said)
    said = f"{record['items'] - len(failed)} of {record['items']} golden prompts are answered as expected."
    if failed:
        said += f" Not as expected when it was let in: {ids(sorted(failed), adapters)}."
    return Report(Condition.QUALITY_MET, True, Reason.GOLDEN_PASSED, said)


def held(
    judged: Mapping[str, Any], config_map: str, adapters: Mapping[str, str], files: Mapping[str, str], *, beside: bool
) -> Refused:
    """Why a new version does not take traffic, and what a person can do.

    `adapters`: asked, by prompt id. `files`: each adapter's by its name, the weights' own under no name.
    """
    lost, gained = judged.get("lost") or [], judged.get("gained") or []
    said = (
        f"The new version{_of(files.get(''))} takes no traffic" + ("; the one before serves on" if beside else "") + "."
    )
    if lost:
        said += f" It does not answer {ids(lost, adapters)} as expected"
        said += f", which that one does, and {len(gained)} others that one does not." if beside else "."
    if (strict := judged.get("strictPercent", 100)) < 100:
        said += f" Asked twice, {strict} % of the prompts get the same answer; at temperature 0 it should be all."
    way = (
        f"Take other weights, another quantization or engine, or correct what is expected in ConfigMap {config_map!r}."
    )
    named = sorted({adapters[name] for name in lost if name in adapters})
    if others := [f"adapter `{name}`{_of(files.get(name))}" for name in named]:
        way = f"Take another file for {', '.join(others)}. {way}"
    if judged["verdict"] == Verdict.FAIL:
        return Refused(Reason.GOLDEN_FAILED, f"{said} That is more than chance. {way}")
    release = f"`spec.checks.golden.release: {judged['id']!r}` lets this version serve as it is"
    return Refused(
        Reason.GOLDEN_INCONCLUSIVE, f"{said} Whether it is worse cannot be told from so few: {release}. Or: {way}"
    )


def _of(file: str | None) -> str:
    return f" (`{file}`)" if file else ""


def undeclared(prompts: GoldenSet, adapters: Collection[str]) -> str:
    """Which prompts ask adapters that the model does not have; empty: none."""
    missing = {of: name for of, name in prompts.adapters.items() if name not in adapters}
    return f"adapters are asked that `spec.adapters` does not have: {ids(missing, missing)}" if missing else ""


def ids(of: Iterable[str], adapters: Mapping[str, str]) -> str:
    """Prompts by their ids, each with the adapter it asks, if any."""
    said = [f"`{name}` (adapter `{adapters[name]}`)" if name in adapters else f"`{name}`" for name in of]
    more = f" and {len(said) - NAMED} more" if len(said) > NAMED else ""
    return ", ".join(said[:NAMED]) + more

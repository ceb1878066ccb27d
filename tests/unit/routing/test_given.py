"""A classifier as a route's user gives it: what is missing or broken is said, and nothing large is unpacked."""

import json
from collections.abc import Callable
from functools import cache

import pytest
import yaml
from hack.cluster.paths import REPOSITORY
from tests.unit.routing import departments
from tests.unit.routing.test_choice import some

from smallmodel_operator.routing.choice import file, given
from smallmodel_operator.routing.choice.classifier import Escalation, TaskClass
from smallmodel_operator.routing.choice.examples import answered, classed
from smallmodel_operator.routing.choice.training import learn_escalation, learn_tasks


@cache
def text(names: int = 3) -> str:
    wanted = list(departments.TOPICS)[:names]
    examples = [(prompt, name) for prompt, name in departments.prompts(10, 1) if name in wanted]
    return file.write(learn_tasks(examples), len(examples)).decode()


def test_it_is_read_with_its_digest() -> None:
    found = given.read(text())
    assert found.digest == json.loads(text())["digest"]
    assert (found.classes, found.planes) == (("legal", "payroll", "recruiting"), 3)


@cache
def hard() -> str:
    return file.write(learn_escalation(some(400, 1)), 400).decode()


def test_what_says_when_to_escalate_is_read_by_its_own_field_only() -> None:
    found = given.read(hard(), given.HARD)
    assert isinstance(found.learned, Escalation)
    assert (found.digest, found.classes, found.planes) == (json.loads(hard())["digest"], (), 1)
    with pytest.raises(file.Unusable, match="does not say when to escalate"):
        given.read(text(), given.HARD)
    with pytest.raises(given.NotFound, match=r"`spec\.escalation\.complexity\.classifierRef\.key`"):
        given.entry({}, "hardness", "escalation.json", given.HARD)


@pytest.mark.parametrize(
    ("config_map", "says"),
    [
        (None, "ConfigMap 'departments' does not exist"),
        ({}, "no entry 'tasks.json' in its `data`"),
        ({"data": {"other": "x"}}, "`spec.classifier.configMapRef.key`"),
        ({"binaryData": {"tasks.json": "x"}}, "in its `data`"),
    ],
)
def test_what_is_missing_is_said(config_map: dict[str, object] | None, says: str) -> None:
    with pytest.raises(given.NotFound) as caught:
        given.entry(config_map, "departments", "tasks.json")
    assert says in str(caught.value)


def test_an_entry_is_its_text() -> None:
    assert given.entry({"data": {"tasks.json": "x"}}, "departments", "tasks.json") == "x"


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (lambda: "no JSON", "it is not JSON"),
        (lambda: text()[:-200], "it is not JSON"),
        (lambda: text().replace("TaskClass", "Tasks"), "changed or cut"),
        (lambda: file.write(learn_escalation(some(100, 1)), 100).decode(), "knows no classes"),
    ],
    ids=["no JSON", "cut", "changed", "of another kind"],
)
def test_what_is_broken_is_said_and_not_quoted(broken: Callable[[], str], says: str) -> None:
    with pytest.raises(file.Unusable) as caught:
        given.read(broken())
    assert says in str(caught.value)
    assert len(str(caught.value)) < 200


def test_what_was_made_to_break_a_reader_is_only_unusable(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = text().replace('"examples": ', '"examples": ' + "[" * 900 + "]" * 900 + ', "more": ', 1)
    for broken in (deep, text().replace('"least": ', '"least": 1e999, "x": ', 1), "[" * 100_000):
        with pytest.raises(file.Unusable):
            given.read(broken)

    def raises(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(file, "read", raises)
    with pytest.raises(file.Unusable, match="RecursionError"):
        given.read(text())


def test_many_classes_are_refused_before_one_is_unpacked() -> None:
    planes = [{"name": f"class-{n}", "bias": 0.0, "unit": 1.0, "weights": "broken"} for n in range(33)]
    body = {**json.loads(text()), "planes": planes}
    del body["digest"]
    whole = json.dumps({**body, "digest": file._digest(body)})
    with pytest.raises(file.Unusable, match="between 1 and 32"):
        given.read(whole)


def test_a_long_name_of_a_class_is_refused() -> None:
    examples = [(f"prompt {n} of kind {n % 2}", "x" * 64 if n % 2 else "y") for n in range(40)]
    with pytest.raises(file.Unusable, match="longer than 63 characters"):
        given.read(file.write(learn_tasks(examples), 40).decode())


def test_a_class_that_is_not_known() -> None:
    assert given.unknown({"legal"}, ("legal", "tax")) == ""
    assert given.unknown(set(), ()) == ""
    assert given.unknown({"hr"}, ("legal", "tax")) == "class 'hr' is none of its classes: it knows 'legal', 'tax'"
    assert given.unknown({"z"}, [f"{n:02}" for n in range(12)]).endswith("'09' and 2 more")


def test_the_example_is_what_its_prompts_teach() -> None:
    folder = REPOSITORY / "examples/17-a-desk-by-content"
    rows = [classed(json.loads(line)) for line in (folder / "labelled.jsonl").read_text().splitlines()]
    config_map = yaml.safe_load((folder / "classifier.yaml").read_text())
    taught = given.entry(config_map, "departments", "tasks.json")
    assert taught == file.write(learn_tasks(rows), len(rows)).decode(), "slm route train, see the example's README"
    tasks = given.read(taught).learned
    assert isinstance(tasks, TaskClass)
    held_out = [(prompt, name) for prompt, name in departments.held_out(20, 5) if name in tasks.planes]
    assert sum(tasks.choose(prompt)[0] == name for prompt, name in held_out) >= 0.95 * len(held_out)
    assert not {tasks.choose(prompt)[0] for prompt in departments.ELSEWHERE} & {"legal", "payroll"}, "those with a rule"


def test_the_example_of_escalation_is_what_its_answers_teach() -> None:
    folder = REPOSITORY / "examples/18-hard-ones-to-the-larger"
    rows = [
        answered(json.loads(line), "large", "small") for line in (folder / "answered.jsonl").read_text().splitlines()
    ]
    config_map = yaml.safe_load((folder / "classifier.yaml").read_text())
    taught = given.entry(config_map, "hardness", "escalation.json", given.HARD)
    assert taught == file.write(learn_escalation(rows), len(rows)).decode(), "slm route train, see the example's README"
    learned = given.read(taught, given.HARD).learned
    assert isinstance(learned, Escalation)
    hardest = learned.probability("Plan the summer party so that no two teams need the same bus.")
    assert learned.probability("When does the canteen close today?") < 0.2 < 0.4 < hardest

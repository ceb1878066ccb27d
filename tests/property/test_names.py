"""Names for every legal model."""

from hypothesis import given
from hypothesis import strategies as st
from tests import strategies

from smallmodel_operator.api import names


@given(strategies.names, st.sampled_from([names.ROLE_INSPECT, names.ROLE_DOWNLOAD]), st.text())
def test_step_names_fit_and_tell_steps_apart(model: str, step: str, key: str) -> None:
    name = names.step_name(model, step, key)
    assert len(name) <= 63
    assert name == names.step_name(model, step, key)
    assert name != names.step_name(model, step, key + "x")


def test_the_longest_name_fits_exactly() -> None:
    assert len(names.step_name("a" * names.MAX_MODEL_NAME, names.ROLE_DOWNLOAD, "k")) == 63


@given(strategies.json_values)
def test_digests_do_not_depend_on_the_order_of_keys(value: object) -> None:
    def turned(v: object) -> object:
        if isinstance(v, dict):
            return {k: turned(v[k]) for k in reversed(list(v))}
        return [turned(i) for i in v] if isinstance(v, list) else v

    assert names.digest(value) == names.digest(turned(value))

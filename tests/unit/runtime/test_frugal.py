"""How often Python looks for garbage."""

import gc

from smallmodel_operator.runtime import frugal


def test_what_is_there_stays_and_what_comes_is_looked_at_more_seldom() -> None:
    before = gc.get_threshold()
    try:
        frugal.settle()
        assert gc.get_freeze_count() > 1000
        assert all(now > was for now, was in zip(gc.get_threshold(), before, strict=True))
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)

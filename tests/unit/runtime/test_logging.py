"""Log lines for machines."""

import json
import logging
import sys

import pytest

from smallmodel_operator.runtime.logging import JsonFormatter, configure


def record(message: str, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("slm", logging.WARNING, __file__, 1, message, None, info)


def test_one_object_on_one_line() -> None:
    line = JsonFormatter().format(record("two\nlines é"))
    assert "\n" not in line
    parsed = json.loads(line)
    assert (parsed["level"], parsed["logger"], parsed["message"]) == ("warning", "slm", "two\nlines é")


def test_an_exception_is_in_it() -> None:
    try:
        raise KeyError("x")
    except KeyError as error:
        parsed = json.loads(JsonFormatter().format(record("m", error)))
    assert "KeyError" in parsed["exception"]


@pytest.mark.parametrize("style", ["json", "text"])
def test_configuring(style: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    configure(style, "info")
    logging.getLogger("smallmodel_operator.x").info("hello")
    logging.getLogger("smallmodel_operator.x").debug("silence")
    logging.getLogger("kopf.objects").warning("chatter: Daemon 'work' is exited; cancelled. Will escalate.")
    logging.getLogger("kopf.objects").error("a handler failed")
    logging.getLogger("kopf._core").warning("a watch failed")
    sys.stderr.flush()
    err = capsys.readouterr().err
    assert "hello" in err
    assert "silence" not in err
    assert "chatter" not in err
    assert "a handler failed" in err
    assert "a watch failed" in err
    assert err.startswith("{") == (style == "json")

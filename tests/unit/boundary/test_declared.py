"""A declared host is one that can be held to."""

import json

import pytest

from smallmodel_operator.boundary.declared import MOST, Declared, Silence, dump, load, parse

NAME = "support/assistant/cloud"


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://api.example.com/v1", "api.example.com", 443, "/v1"),
        ("https://api.example.com", "api.example.com", 443, ""),
        ("https://api.example.com/", "api.example.com", 443, ""),
        ("https://a-1.b.example:8443/openai/deployments/big_1/", "a-1.b.example", 8443, "/openai/deployments/big_1"),
    ],
)
def test_what_is_declared(url: str, host: str, port: int, path: str) -> None:
    found = parse(NAME, url)
    assert found == Declared(NAME, host, port, path)
    assert load(dump([found])) == (found,)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://api.example.com/v1", "https://"),
        ("api.example.com", "https://"),
        ("https://key@api.example.com/v1", "no credentials"),
        ("https://api.example.com/v1?a=b", "no credentials, query"),
        ("https://api.example.com/v1?", "no credentials, query"),
        ("https://api.example.com/v1#x", "no credentials, query or fragment"),
        ("https://10.0.0.1/v1", "DNS name"),
        ("https://[fd00::1]/v1", "DNS name"),
        ("https://0x7f.1/v1", "DNS name"),
        ("https://127.1/v1", "DNS name"),
        ("https://api.example.com/v1 ", "plain words"),
        ("https://localhost/v1", "DNS name"),
        ("https://API.example.com/v1", "lower case"),
        ("https://*.example.com/v1", "DNS name"),
        ("https://api.example.com./v1", "DNS name"),
        ("https://" + "a." * 130 + "example/v1", "DNS name"),
        ("https:///v1", "DNS name"),
        ("https://api.example.com/a//b", "plain words"),
        ("https://api.example.com/../v1", "plain words"),
        ("https://api.example.com/v%31", "plain words"),
        ("https://api.example.com:99999/v1", "port"),
        ("https://api.example.com:0/v1", "port"),
    ],
)
def test_what_cannot_be_held_to_is_refused_with_the_way_out(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(NAME, url)


def test_how_long_one_may_say_nothing_is_declared_and_kept() -> None:
    found = parse(NAME, "https://api.example.com", silence=Silence(5, 120))
    assert load(dump([found])) == (found,)
    assert dump([found]) != dump([parse(NAME, "https://api.example.com")])


def test_of_a_host_that_an_older_release_declared_the_default_counts() -> None:
    (found,) = load('{"hosts": [{"name": "a/b/c", "url": "https://x.example", "credential": true}]}')
    assert found.silence == Silence(60, 300)


@pytest.mark.parametrize("silence", [Silence(0, 300), Silence(60, 301), Silence(-1, 1)])
def test_a_silence_has_bounds(silence: Silence) -> None:
    with pytest.raises(ValueError, match="between 1 and 300"):
        parse(NAME, "https://api.example.com", silence=silence)


@pytest.mark.parametrize("name", ["", "cloud", "a/b", "a/b/c/d", "A/b/c", "a/b.c/d", "a/b/c\n"])
def test_a_name_is_a_targets(name: str) -> None:
    with pytest.raises(ValueError, match="name of a target"):
        parse(name, "https://api.example.com")


def test_no_two_have_one_file() -> None:
    found = {parse(name, "https://api.example.com").file for name in ("a/b/c", "a-b/c/d", "a/b-c/d")}
    assert len(found) == 3
    assert not [file for file in found if "/" in file]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"hosts": []}',
        '{"hosts": [1]}',
        '{"hosts": [{"name": "a/b/c", "url": "https://x.example"}]}',
        '{"hosts": [{"name": "a/b/c", "url": "https://x.example", "credential": 1}]}',
        '{"hosts": [{"name": "a/b/c", "url": "https://x.example", "credential": true, "insecure": true}]}',
        '{"hosts": [{"name": "a/b/c", "url": "https://x.example", "credential": true, "silence": 3}]}',
        '{"hosts": [{"name": "a/b/c", "url": "https://x.example", "credential": true, "silence": {"stream": 3}}]}',
        '{"hosts": [{"name": "a/b/c", "url": "https://x.example", "credential": true,'
        ' "silence": {"stream": true, "answer": 3}}]}',
        '{"hosts": [{"name": "a/b/c", "url": "http://x.example", "credential": true}]}',
    ],
)
def test_what_is_no_list_of_hosts_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        load(text)


def test_a_list_is_bounded_and_names_are_unique() -> None:
    one = {"name": "a/b/c", "url": "https://x.example", "credential": False}
    assert not load(json.dumps({"hosts": [one]}))[0].credential
    with pytest.raises(ValueError, match="one name"):
        load(json.dumps({"hosts": [one, one]}))
    many = [{**one, "name": f"a/b/c{n}"} for n in range(MOST + 1)]
    with pytest.raises(ValueError, match=f"1 and {MOST}"):
        load(json.dumps({"hosts": many}))

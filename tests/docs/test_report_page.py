"""The page of a boundary report, in a real browser: what people see of it, and that it does nothing else."""

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hack.browser import picture
from hack.browser.chromium import Chromium, Page, View
from hack.browser.root import ensure, output
from hack.browser.sample import INSIDE, MONTH, Share, report
from hack.cluster.paths import REPOSITORY
from tests.docs.looking import OUTSIDE, PALE, ROWS, printed_rows

from smallmodel_operator.audit.style import POLICY, STYLE
from smallmodel_operator.boundary.controls import CONTROLS

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]  # the browser's root is made once, minutes

ELSEWHERE = "https://elsewhere.example"
BAD = (
    f'<script>document.title="owned"</script><script src="{ELSEWHERE}/a.js"></script>'
    f'<img src="{ELSEWHERE}/a.png" onerror="document.title=1"><link rel="stylesheet" href="{ELSEWHERE}/a.css">'
    "<style>body{color:rgb(255,0,0)}</style>"
)
SHARES = (
    *MONTH,
    Share(BAD, "sa:hr/<script>document.title=2</script>", 5, "hr"),
    Share("hr/</td></table><h1>All is well</h1>", "\"><svg onload='document.title=3'>", 2, "<b>hr</b>"),
    Share("r&d/&lt;bot&gt;", "sa:r&d/`${document.title=4}`", 1, "r&d"),
    Share(f"legal/{'m' * 63}", f"key:legal/{'m' * 63}/{'W' * 63}", 7, "w" * 63, failed=1),
    Share("archive/bot", "sa:archive/night", 4, "archive", tokens=(900_000_000, 700_000_000)),
    *(Share(f"branch-{n}/bot", f"sa:branch-{n}/app", n, f"branch-{n}") for n in range(60, 100)),
)
"""A month, and names people would choose who want the page to say something else."""
LOOKS = {
    "desk": View(1280),
    "desk in the dark": View(1280, dark=True),
    "tablet": View(768, 1024, 2),
    "narrow": View(1000),
    "phone": View(390, 844, 3),
    "phone in the dark": View(390, 844, 3, dark=True),
    "paper": View(690, dark=True, paper=True),
}
"""Paper: between its margins A4 is 695 CSS pixels wide."""


@pytest.fixture(scope="module")
def root() -> Path:
    return ensure()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With `report.html`, the records it was made from, and pages as they must not be."""
    made = tmp_path_factory.mktemp("page")
    report(made, SHARES)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    for name, head in (("bad", ""), ("policed", policy)):
        (made / f"{name}.html").write_text(f"<!doctype html>{head}<title>mine</title><style>{STYLE}</style>{BAD}")
    return made


@pytest.fixture(scope="module")
def browser(root: Path, folder: Path) -> Iterator[Chromium]:
    with Chromium(root, folder) as chromium:
        yield chromium


@pytest.fixture(scope="module")
def page(browser: Chromium) -> Page:
    return browser.open("report.html")


def test_it_asks_for_nothing_and_runs_nothing(page: Page) -> None:
    seen = page.seen
    assert (seen.requests, seen.scripts, seen.said) == (("file:///mnt/report.html",), (), ())
    assert page.evaluate("document.title") == "Data boundary report October 2026"
    assert page.evaluate("document.querySelectorAll('script,img,svg,link,b,[onload],[onerror]').length") == 0


def test_what_a_bad_page_does_is_seen_and_the_policy_of_ours_stops_it(browser: Chromium) -> None:
    bad, policed = browser.open("bad.html"), browser.open("policed.html")
    wanted = {f"{ELSEWHERE}/a.{kind}" for kind in ("js", "png", "css")}
    colour = "[document.title, getComputedStyle(document.body).color]"
    assert set(bad.seen.requests) >= wanted
    assert not bad.seen.refused
    assert bad.seen.scripts
    assert bad.evaluate(colour) == ["1", "rgb(255, 0, 0)"]
    assert set(policed.seen.requests) & wanted == set(policed.seen.refused) == wanted
    assert not policed.seen.scripts
    assert policed.evaluate(colour) == ["mine", "rgb(29, 36, 48)"]


def test_what_an_officer_looks_for_is_there_to_read(page: Page, folder: Path) -> None:
    page.look(LOOKS["desk"])
    text = page.evaluate("document.body.innerText")
    total = sum(s.answered + s.failed + s.given_up + sum(s.refused.values()) for s in SHARES)
    assert re.match(r"Data boundary report\s+October 2026\s+From 2026-10-01 00:00 to 2026-11-01 00:00 UTC\.", text)
    for said in (
        "Nothing left the cluster",
        f"{total:,} requests:",
        "Nothing: 0 requests, 0 bytes.",
        INSIDE,
        "yearly drill",
        "Proven 100.0 %",
    ):
        assert said in text
    rows = page.evaluate(ROWS)
    for share in SHARES:
        refused = sum(share.refused.values())
        counts = (share.answered, refused, share.failed, share.given_up)
        names = [share.model, share.caller, share.namespace or "–"]
        wanted = [*names, *(f"{n:,}" for n in (sum(counts), *counts))]
        assert wanted in [row[:8] for row in rows], wanted
    for gateway in ("smallmodel-gateway-0", "smallmodel-gateway-1"):
        last = max((folder / "records" / gateway / "audit").glob("*.jsonl")).read_bytes().splitlines()[-1]
        assert [gateway, json.loads(last)["hash"]] in [row[:2] for row in rows]
        assert [gateway, "intact"] in [row[:2] for row in rows]
    controls = {(row[0], row[2]) for row in rows if len(row) == 3}
    assert {(control.does, control.test) for control in CONTROLS} <= controls


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS.keys())
def test_nothing_stands_outside_or_is_pale(page: Page, look: View) -> None:
    page.look(look)
    assert page.evaluate("document.documentElement.clientWidth") == look.width
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(f"{PALE}({json.dumps(look.paper)})") == []


def test_what_stands_outside_or_is_pale_is_seen(browser: Chromium) -> None:
    spoilt = browser.open("report.html")
    for look in (LOOKS["desk"], LOOKS["phone"]):
        spoilt.look(look)
        for rule, question in (
            ("td{white-space:nowrap!important;overflow-wrap:normal}", OUTSIDE),
            ("table{table-layout:fixed} td,code{overflow-wrap:normal!important;overflow:visible}", OUTSIDE),
            ("td{color:#999!important}", f"{PALE}(false)"),
        ):
            spoilt.evaluate(f"document.styleSheets[0].insertRule({json.dumps('@media all{' + rule + '}')}, 0)")
            assert spoilt.evaluate(question), rule
            spoilt.evaluate("document.styleSheets[0].deleteRule(0)")
        assert spoilt.evaluate(OUTSIDE) == []


def test_numbers_stand_right_under_their_titles(page: Page) -> None:
    page.look(LOOKS["desk"])
    edges = """[...document.querySelectorAll("td.n")].map(cell => {
      const range = document.createRange(); range.selectNodeContents(cell);
      const title = cell.closest("table").tHead.rows[0].cells[cell.cellIndex];
      return [getComputedStyle(title).textAlign, Math.round(cell.getBoundingClientRect().right
        - range.getBoundingClientRect().right - parseFloat(getComputedStyle(cell).paddingRight))];
    })"""
    found = page.evaluate(edges)
    assert len(found) > 7 * len(SHARES)
    assert [edge for edge in found if edge != ["right", 0]] == []


def test_printed_it_is_whole(page: Page, root: Path, folder: Path) -> None:
    page.look(LOOKS["desk"])
    rows = [["".join(cell.split()) for cell in row] for row in page.evaluate(ROWS)]
    (folder / "report.pdf").write_bytes(page.pdf())
    about = output(root, folder, "pdfinfo", "/mnt/report.pdf")
    pages = int(re.findall(r"^Pages:\s+(\d+)", about, re.M)[0])
    assert re.search(r"^Title:\s+Data boundary report October 2026", about, re.M)
    assert pages > 1
    printed = printed_rows(output(root, folder, "pdfinfo", "-struct-text", "/mnt/report.pdf"))
    assert printed == rows
    for number in range(1, pages + 1):
        text = output(root, folder, "pdftotext", "-f", str(number), "-l", str(number), "/mnt/report.pdf", "-")
        assert f"Page {number} of {pages}" in text


def test_the_picture_in_the_docs_can_be_made_anew(root: Path, tmp_path: Path) -> None:
    kept, made = picture.PICTURE.read_bytes(), picture.take(root, tmp_path)
    size = struct.Struct(">8x8x2I")  # of a PNG: signature, head of its first part, width, height
    assert kept.startswith(b"\x89PNG\r\n\x1a\n")
    assert size.unpack_from(kept) == size.unpack_from(made) == (picture.VIEW.width, picture.VIEW.height)
    assert max(len(kept), len(made)) <= picture.MOST_BYTES
    assert f"]({picture.PICTURE.name})" in (REPOSITORY / "docs/how-to/report-the-boundary.md").read_text()

"""The static site of kept tables: all links lead somewhere, every number to its cells, and a browser does not complain."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from slt_bench.cli.commands import invoke
from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.experiment.experiments import Experiments
from slt_bench.kept.site import write_site
from slt_bench.kept.table import kept_tables, read_kept
from slt_bench.run.tables.reports import keep_tables
from tests.report.test_page import CHROMIUM
from tests.report.test_report import pretend

ROOT = Path(__file__).parents[2]

PROBE = """<script>
const errors = [];
addEventListener("error", event => errors.push(event.message || "not loaded: " + event.target.outerHTML.slice(0, 80)), true);
const tell = (name, value) => document.documentElement.setAttribute("data-" + name, value);
addEventListener("load", () => {
  tell("wide", document.documentElement.scrollWidth - innerWidth);
  tell("scrolls", [...document.querySelectorAll(".scroll")].filter(each => each.scrollWidth > each.clientWidth).length);
});
addEventListener("load", () => setTimeout(() => {
  const [tables, claims] = document.querySelectorAll("table"), search = document.querySelectorAll("input")[1];
  search.value = "frozen IS better"; search.dispatchEvent(new Event("input"));
  const rows = [...claims.tBodies[0].rows];
  tell("found", rows.filter(row => !row.hidden).length + "/" + rows.length); tell("tables", tables.tBodies[0].rows.length);
  const heads = [...tables.tHead.rows[0].cells], date = heads.findIndex(head => head.textContent === "date");
  const dates = () => [...tables.tBodies[0].rows].map(row => row.cells[date].textContent).join(" ");
  heads[date].firstChild.click(); const up = dates();
  heads[date].firstChild.click(); tell("dates", up + " / " + dates());
  tell("errors", errors.join("; "));
}, 100));
</script>"""


class Page(HTMLParser):
    """The links and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        self.anchors |= {value or "" for name, value in attrs if name == "id"}


def keep_one(params: Experiments) -> None:
    """Keep a table whose cells seem to have run."""
    for cell in params.tables["one"].cells:
        pretend(cell, 60.0 + cell.seed)
    keep_tables(params, ["one"])


@pytest.fixture
def site(params: Experiments, tmp_path: Path) -> Path:
    keep_one(params)
    folder = paths.RESULTS / "one"
    made = json.loads((folder / "made.json").read_text())
    (folder / "tickets").mkdir()
    (folder / "tickets/some.safetensors").touch()
    kept = {"top1": 61.0, "images": 1, "dataset": "digits", "digest": "d" * 64, "origin": "digits"}
    made["tickets"] = [{"file": "tickets/some.safetensors", "cell": params.tables["one"].cells[2].id, **kept}]
    (folder / "made.json").write_text(json.dumps(made))
    older = paths.RESULTS / "older"  # of a time when less was kept
    older.mkdir()
    for name in ("table.md", "table.csv"):
        (older / name).write_text((folder / name).read_text())
    del made["tickets"], made["declared"]
    made["dates"] = ["2025-12-31"]
    for claim in made["claims"]:
        del claim["computed from"]
    (older / "made.json").write_text(json.dumps(made))
    invoke(["results", "--site", "site"])
    return tmp_path / "site"


@pytest.mark.figures
def test_every_link_leads_somewhere(site: Path) -> None:
    pages = [site / "index.html", site / "one/index.html", site / "older/index.html"]
    count = 0
    for page in pages:
        for link in Page(page).links:
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert target.is_file(), (page, link)
            assert not anchor or anchor in Page(target).anchors, (page, link)
            count += 1
    assert count > 60
    one = pages[1].read_text()
    for part in (
        "tickets/some.safetensors",
        "<td>61.00</td>",
        "c0de",
        "<code>slt-bench run one</code>",
        "accuracy-sparsity.svg",
    ):
        assert part in one, part
    assert re.search(r'<strong><a href="#[^"]+">', one), "an effect leads to its cells"
    assert "were not kept" in pages[2].read_text() and "were not kept" not in one


@pytest.mark.figures
def test_a_site_is_replaced_and_nothing_else_is(site: Path, tmp_path: Path) -> None:
    (site / "left over").touch()
    invoke(["results", "--site", "site"])
    assert not (site / "left over").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").touch()
    with pytest.raises(BenchError, match="mine is there and is no site of slt-bench: give a folder that does not exist yet"):
        write_site(kept_tables(paths.RESULTS), Path("mine"))
    assert (tmp_path / "mine/thesis.txt").is_file()


@pytest.mark.parametrize(
    "options",
    [
        ["one", "--site", "s"], ["--site", "s", "--verify"], ["--verify", "--partial"],
        ["--restore"], ["one", "--restore", "--verify"],
    ],
)  # fmt: skip
def test_no_option_is_ignored(options: list[str]) -> None:
    with pytest.raises(BenchError, match="--verify go with names of tables alone, --restore needs some, and --site"):
        invoke(["results", *options])


def test_what_is_no_kept_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="keeps no table: `slt-bench results` keeps those that are complete"):
        kept_tables(tmp_path)
    (tmp_path / "one").mkdir()
    for content, fault in (
        ("", "damaged: JSON"),
        ('{"tickets": [{}]}', "record lacks cell, d"),
        ("[]", "made.json: title: field required"),
    ):
        (tmp_path / "one/made.json").write_text(content)
        with pytest.raises(BenchError, match=f"one.* is .*{fault}"):
            read_kept(tmp_path / "one")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"lines": []}, "lines: list should have at least 1 item"),
        ({"lines": [{"setting": "a", "row": {"n": 1}}]}, r"lines\.0\.row\.n: input should be a valid string"),
        ({"lines": [{"setting": "a", "row": {"n": "1"}}, {"setting": "b", "row": {}}]}, "lines have unlike columns"),
        ({"claims": None}, "claims: input should be a valid list"),
        ({"claims": [{"claim": "a", "of": "b"}]}, r"claims\.0\.over: field required"),
        ({"hours": "1"}, "hours: input should be a valid number"),
    ],
)
def test_a_damaged_account_of_a_table_is_named(params: Experiments, changes: dict[str, Any], fault: str) -> None:
    keep_one(params)
    made = paths.RESULTS / "one/made.json"
    made.write_text(json.dumps(json.loads(made.read_text()) | changes))
    with pytest.raises(BenchError, match=rf"results/one is no kept table: made\.json: {fault}.*keeps it anew"):
        invoke(["results", "--site", "site"])
    assert not Path("site").exists()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("60.0", "sixty", "could not convert string to float"),
        ("setting", "settings", "has not the 10 whole rows"),
        ("cell,", '"cell,', "has not the 10 whole rows"),
        (r"\n.*\n$", "\n", "has not the 10 whole rows"),
        (r"\n$", ",more\n", "has not the 10 whole rows"),
        ("60.0", "6" * 200_000, "field larger than field limit"),
    ],
)  # fmt: skip
def test_a_damaged_list_of_cells_is_named(params: Experiments, old: str, new: str, fault: str) -> None:
    keep_one(params)
    file = paths.RESULTS / "one/cells.csv"
    file.write_text(re.sub(old, new, file.read_text(), count=1))
    with pytest.raises(BenchError, match=rf"results/one is no kept table: .*({fault}).*keeps it anew"):
        invoke(["results", "--site", "site"])


def probe(page: Path, folder: Path) -> dict[str, str]:
    """Open a page on the screen of a laptop; returns what the probe found."""
    page.write_text(page.read_text().replace("<head>", "<head>" + PROBE))
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1366,800",
               f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=20000", "--dump-dom"]  # fmt: skip
    dom = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120).stdout
    return dict(re.findall(r'data-(\w+)="([^"]*)"', dom))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_laptop_shows_what_is_kept_here_without_sideways_scrolling(tmp_path: Path) -> None:
    write_site(kept_tables(ROOT / "results"), tmp_path / "site")
    pages = sorted((tmp_path / "site").rglob("index.html"))
    assert len(pages) > 10
    for page in pages:
        told = probe(page, tmp_path)
        assert int(told["wide"]) <= 0 and told["scrolls"] == "0", page


@pytest.mark.slow
@pytest.mark.figures
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_in_a_browser(site: Path, tmp_path: Path) -> None:
    told = probe(site / "index.html", tmp_path)
    assert told["errors"] == "" and told["tables"] == "2" and int(told["wide"]) <= 0, told
    assert told["dates"] == "2025-12-31 2026-01-01 / 2026-01-01 2025-12-31", "dates sort as such"
    found, rows = map(int, told["found"].split("/"))
    assert 0 < found < rows, told

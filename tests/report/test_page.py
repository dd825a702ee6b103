"""The HTML page: whole by itself, without script errors, readable on a phone, every number leading to its cells."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from slt_bench.common import paths
from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.load import load_experiments
from slt_bench.run.tables.reports import report_all, report_table
from tests.report.test_claims import CLAIMS, TEXT
from tests.report.test_report import pretend

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SMALL = "  one-small: {like: one, dataset: digits, seeds: [4]}\n"
PROBE = """<script>
const errors = [];
addEventListener("error", event => errors.push(event.message || "not loaded: " + event.target.outerHTML.slice(0, 80)), true);
addEventListener("load", () => setTimeout(() => {
  const images = [...document.images], tell = (name, value) => document.documentElement.setAttribute("data-" + name, value);
  const dead = [...document.querySelectorAll("a[href^='#']")].filter(a => !document.getElementById(a.hash.slice(1)));
  tell("errors", errors.join("; "));
  tell("images", images.filter(i => i.complete && i.naturalWidth > 0).length + "/" + images.length);
  const scrolling = [...document.querySelectorAll("section > .scroll")].filter(table => table.scrollWidth > table.clientWidth);
  tell("dead", dead.length); tell("scrolling", scrolling.length);
  tell("wide", document.documentElement.scrollWidth - innerWidth);
  const table = document.querySelector("#one table"), rows = () => [...table.tBodies[0].rows];
  const texts = column => rows().map(row => row.cells[column].textContent);
  const heads = [...table.tHead.rows[0].cells], accuracy = heads.findIndex(head => head.textContent.startsWith("test top-1"));
  heads[accuracy].firstChild.click(); const up = texts(accuracy).map(parseFloat);
  heads[accuracy].firstChild.click(); const down = texts(accuracy).map(parseFloat);
  const rises = values => values.every((value, i) => !i || !(values[i - 1] > value));
  tell("sorted", rises(up) && rises([...down].reverse()) && up.length > 3 && up[0] < up[up.length - 1]);
  const search = document.querySelector("#one input");
  search.value = "weight TRAINING"; search.dispatchEvent(new Event("input"));
  tell("found", rows().length + "/" + rows().filter(row => !row.hidden).length);
  location.hash = "#one-line-2"; setTimeout(() => tell("opened", document.getElementById("one-line-2").open), 100);
}, 100));
</script>"""


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiments:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(TEXT + CLAIMS + SMALL)
    return load_experiments(Path("params.yaml"))


class Links(HTMLParser):
    """Everything that a page would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]


@pytest.mark.figures
def test_the_page_needs_nothing_else_and_tells_all(params: Experiments) -> None:
    for cell in params.tables["one"].cells:
        pretend(cell, 60.0 + cell.seed)
    report_table(params.tables["one"])
    page = (paths.table_dir("one") / "report.html").read_text()
    links = Links()
    links.feed(page)
    assert links.found and all(link.startswith(("#", "data:image/svg+xml;base64,")) for link in links.found)
    assert "url(" not in page and "@import" not in page
    cell = params.tables["one"].cells[-1]
    for part in (f"slt-bench run {cell.id}", "dvc repro table@one", "frozen is better", "learning rate", "undecided",
                 "&#34;prune_ratio&#34;: 0.1", "class=\"verdict", "made with"):  # fmt: skip
        assert part in page, part
    assert "SMALL BUDGET" not in page
    top, title = page.index('<p class="verdicts">'), page.index("<h1>")
    assert title < top < page.index("<h2>Claims</h2>") < page.index("<h2>Results</h2>"), "the verdicts are on top"
    assert page[title:top].count("<p") == 1, "below nothing but what it is of"
    assert re.search(r'<strong><a href="#one-line-\d+">[-\d.]+ \[', page), "an effect leads to its cells"


def test_a_small_table_says_so_in_every_output_and_is_not_compared(params: Experiments) -> None:
    for cell in params.tables["one-small"].cells:
        pretend(cell, 60.0)
    markdown = report_table(params.tables["one-small"])
    for name in ("table.md", "table.tex", "report.html"):
        assert "SMALL BUDGET" in (paths.table_dir("one-small") / name).read_text(), name
    rows = list(csv.DictReader((paths.table_dir("one-small") / "table.csv").open()))
    assert {row["small_budget"] for row in rows} == {"other seeds"}
    assert "at a small budget" in markdown and "1.33 gain" in markdown


@pytest.mark.slow
@pytest.mark.figures
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("width", [390, 1366])
def test_in_a_browser(params: Experiments, width: int, tmp_path: Path) -> None:
    for name in ("one", "one-small"):
        for number, cell in enumerate(params.tables[name].cells):
            if not cell.directory.exists():
                pretend(cell, 60.0 + 7 * number % 40)
    page = report_all(params)
    probed = tmp_path / "probed.html"
    probed.write_text(page.read_text().replace("<head>", "<head>" + PROBE))
    # A window cannot be as narrow as a phone: the page is in a frame.
    frame = tmp_path / "frame.html"
    frame.write_text(f'<iframe src="probed.html" width="{width}" height="800"></iframe>')
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
               f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000", "--dump-dom",
               f"--window-size={max(width, 500)},900"]  # fmt: skip
    shown = frame if width < 500 else probed
    reader = "<script>onload = () => setTimeout(() => document.body.append(frames[0].document.documentElement.outerHTML"
    if shown == frame:
        frame.write_text(frame.read_text() + reader + ".match(/<html[^>]*>/)[0]), 3000)</script>")
    dom = subprocess.run([*command, shown.as_uri()], capture_output=True, text=True, timeout=120).stdout
    told = dict(re.findall(r'data-(\w+)="([^"]*)"', dom)) or dict(
        re.findall(r"data-(\w+)=(?:&quot;|\")(.*?)(?:&quot;|\")", dom)
    )
    images = page.read_text().count("<img ")
    assert told["errors"] == "" and told["images"] == f"{images}/{images}" and images > 10, told
    assert told["sorted"] == "true" and re.fullmatch(r"[5-9]/1", told["found"]), told
    assert width < 1000 or told["scrolling"] == "0", "tables are read without sideways scrolling on a laptop"
    assert told["dead"] == "0" and told["opened"] == "true" and int(told["wide"]) <= 0, told

"""The notebook of a run on a GPU: what each part found, kept as it comes, as JSON and as a page."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tabulate import tabulate

from slt_bench.common.files import write_text
from slt_bench.records.provenance import code_version, now


@dataclass
class Finding:
    """What a part found: a table, and sentences under it."""

    columns: list[str] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: str = ""
    seconds: float = 0.0
    made: str = ""  # when, and with which commit


class Notebook:
    """Findings by the names of their parts, in one JSON file and one Markdown page of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "gpu.json"
        self.findings: dict[str, Finding] = {}
        if file.is_file():
            self.findings = {name: Finding(**content) for name, content in json.loads(file.read_text("utf-8")).items()}

    def has(self, part: str) -> bool:
        """Whether a part has been done; one that failed is tried again."""
        return part in self.findings and not self.findings[part].failed

    def keep(self, part: str, finding: Finding) -> None:
        """Write a finding down, in the place of an earlier one, with the time and the commit."""
        finding.made = f"{now()} with {code_version()}"
        self.findings[part] = finding
        content = {name: asdict(each) for name, each in self.findings.items()}
        write_text(self.folder / "gpu.json", json.dumps(content, indent=1) + "\n")
        write_text(self.folder / "README.md", self._page())

    def _page(self) -> str:
        lines = ["# What a GPU gave", "", "Made by `make gpu`; times are in milliseconds where nothing else is said.", ""]
        for name, finding in self.findings.items():
            lines += [f"## {name}", ""]
            if finding.failed:
                lines += [f"FAILED: {finding.failed}", ""]
            if finding.rows:
                lines += [tabulate(finding.rows, finding.columns, "github", disable_numparse=True), ""]
            notes = [*finding.notes, *([f"Made {finding.made}, in {finding.seconds:g} s."] if finding.made else [])]
            lines += [*(f"- {note}" for note in notes), ""] if notes else []
        return "\n".join(lines).rstrip() + "\n"

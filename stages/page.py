"""page: the reports of all tables -> outputs/report.html."""

from slt_bench import paths
from slt_bench.errors import run_command
from slt_bench.report.page import write_page
from slt_bench.steps import load


def main() -> None:
    """Write it."""
    params = load()
    write_page(params, list(params.tables), paths.OUTPUTS / "report.html")
    print(f"open {paths.OUTPUTS / 'report.html'} in a browser")


if __name__ == "__main__":
    run_command(main)

"""The stage `page`: the results of all tables -> outputs/report.html."""

from slt_bench.common import paths
from slt_bench.common.errors import run_command
from slt_bench.experiment.load import load_experiments
from slt_bench.report.page import write_page
from slt_bench.report.results import table_results


def main() -> None:
    """Write the page and print its path."""
    write_page([table_results(experiment) for experiment in load_experiments().tables.values()], paths.PAGE)
    print(f"open {paths.PAGE} in a browser")


if __name__ == "__main__":
    run_command(main)

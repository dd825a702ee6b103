"""params.yaml: mistakes become one line that names path, line, value and what is allowed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from slt_bench.common.errors import BenchError
from slt_bench.common.text import percent
from slt_bench.experiment.load import load_experiments, schema
from slt_bench.params.sources import Source
from slt_bench.params.tables import Table

ROOT = Path(__file__).parent.parent.parent
GOOD = """\
datasets:
  digits: {images: {source: digits}, mean: [0.3, 0.3, 0.3], std: [0.4, 0.4, 0.4]}
networks:
  tiny: {kind: conv4, width: 0.125}
recipes:
  quick: {epochs: 2, batch_size: 64, learning_rate: 0.1, weight_decay: 1e-4}
searches:
  ep: {kind: edge-popup}
  iep: {kind: iterative-edge-popup, iterations: 2}
  training: {kind: weight-training}
tables:
  one:
    title: One
    dataset: digits
    network: tiny
    recipe: quick
    seeds: [0, 1]
    rows:
      - {search: training}
      - {search: ep, sparsity: [0.3, 0.5]}
      - {search: [ep, iep], source: {prune_ratio: [0.1, 0.2], lock_ratio: 0.2, layout: epl, lock_rule: joint}, sparsity: 0.5}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "params.yaml"


def test_the_good_one_expands(file: Path) -> None:
    file.write_text(GOOD)
    cells = load_experiments(file).tables["one"].cells
    assert len(cells) == 2 * (1 + 2 + 4)
    assert len({cell.id for cell in cells}) == len({cell.identity for cell in cells}) == len(cells)
    assert cells[0].recipe.weight_decay == 1e-4  # YAML 1.1 would read a string


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs: 2", "epochs: two", r":6: recipes\.quick\.epochs: must be a valid integer, got 'two'"),
        ("epochs: 2", "epochs: 0", r":6: recipes\.quick\.epochs: must be greater than or equal to 1, got 0"),
        ("weight_decay", "weight_decoy", r"quick\.weight_decoy: unknown key; did you mean 'weight_decay'\? \(allowed:"),
        ("iterations: 2", "iteration: 2", r":9: searches\.iep\.iteration: unknown key; did you mean 'iterations'"),
        ("iterations: 2", "rule: linear", r":9: searches\.iep: give one of iterations, keep and sparsities"),
        ("iterations: 2", "sparsities: [0.5, 0.2]", r"sparsities must rise"),
        ("iterations: 2", "sparsities: [0.2, 0.4]",
         r":21: .*rows\[2\]: search iep: goes through the sparsities \[0\.2, 0\.4\]: .*\(0\.5\)"),
        ("epochs: 2, ", "", r"recipes\.quick\.epochs: is missing"),
        ("iterations: 2", "iterations: 2, scores: redrawn", r"scores: redrawn needs space: hard"),
        ("iterations: 2", "rule: linear, sparsities: [0.2, 0.5]", r"sparsities say it all: leave rule out"),
        ("weight_decay: 1e-4", "score_init: constant", r"constant scores are equal in all of a layer: .*use selection: local"),
        ("layout: epl", "layout: from_ticket, ticket: {search: ep, sparsity: 0.5}", r"from_ticket knows no lock_rule"),
        ("layout: epl, lock_rule: joint", "layout: from_ticket, ticket: {search: training, sparsity: 0.5}",
         r"rows\[2\]\.source\.ticket\.search: 'training' trains weights and finds no mask"),
        ("layout: epl, lock_rule: joint", "layout: from_ticket, ticket: {search: ep, sparsity: 0.1}",
         r"a ticket of sparsity 0\.1 has 0\.1 to prune and 0\.9 to lock, not 0\.2 and 0\.2"),
        ("layout: epl, lock_rule: joint", "layout: from_ticket", r"layout from_ticket and ticket go together"),
        ("kind: edge-popup", "kind: edgepopup", r":8: searches\.ep: .*'edge-popup'"),
        ("layout: epl", "layout: erl",
         r":21: .*rows\[2\]\.source\.layout: must be 'epl', 'erk', 'igq', 'uniform' or 'from_ticket'"),
        (", lock_rule: joint", "", r":21: tables\.one\.rows\[2\]\.source: a source with locked edges needs a lock_rule"),
        ("network: tiny", "network: tini", r":15: tables\.one\.network: 'tini' is not declared; did you mean 'tiny'"),
        ("sparsity: 0.5}", "sparsity: 0.9}", r":21: .*rows\[2\]\.sparsity: .*does not hold: 0\.1 <= 0\.9 <= 0\.8"),
        ("sparsity: 0.5}", "sparsity: 0.05}", r"does not hold: 0\.1 <= 0\.05 <= 0\.8"),
        ("[0.1, 0.2]", "0.9", r"prune_ratio \+ lock_ratio = 0\.9 \+ 0\.2 is more than 1"),
        ("search: training", "search: training, sparsity: 0.5", r":19: .*leave sparsity out"),
        ("sparsity: [0.3, 0.5]", "label: x", r":20: .*sparsity is missing: edge-popup needs one"),
        ("batch_size: 64", "batch_size: 2000", r"batch_size 2000 of recipe quick exceeds the 1150 training images"),
        ("kind: conv4", "kind: conv8", r"network tiny \(conv8\) needs images of 16 pixels, dataset digits has 8"),
        ("source: digits", "source: image_folder", r":2: datasets\.digits\.images: path is missing: the folder"),
        ("std: [0.4, 0.4, 0.4]", "std: [0.4, 0.4, 0]", r":2: datasets\.digits\.std\[2\]: must be greater than 0"),
        ("search: training", "search: training, published: otsuka", r":19: .*published: 'otsuka' is not a known value"),
        ("search: training", "search: training, published: iwasawa2023-training",
         r"is of resnet34 on imagenet, this row is of conv4, width 0\.125 on digits at 0"),
        ("search: training", "search: training, published: iwasawa2023-gain10",
         r":19: .*published: 'iwasawa2023-gain10' is a gain, here stands top1 or dying-edge ratio"),
        ("mean: ", "crop_area: [0.5, 1.0], mean: ", r":2: datasets\.digits: crop_area goes together with resolution"),
        ("search: ep,", "search: ep, source: {layout: epl},", r":20: .*source: nothing is frozen: leave layout out, or give"),
        ("lock_ratio: 0.2, ", "", r":21: .*source: nothing is locked: leave lock_rule out, or give a lock_ratio above 0"),
        ("sparsity: [0.3, 0.5]", "sparsity: [0.3, 0.30000000000001]",
         r":20: .*digits_tiny_dense_ep_quick_s30_seed0 would be the name of two cells that differ: rename"),
        ("source: digits}", "source: digits, validation: 0.0001}", r"leaves train or val empty"),
        ("source: digits}", "source: digits, train_images: 2000}", r"asks for 2000 of 1438 training images"),
        ("learning_rate: 0.1", "learning_rate: .inf", r"learning_rate: must be a finite number"),
        ("learning_rate: 0.1", "learning_rate: .nan", r":6: .*learning_rate: must be a finite number, got nan"),
        ("learning_rate: 0.1", "learning_rate: true", r":6: .*learning_rate: must be a valid number, got True"),
        ("epochs: 2", "epochs: 2.0", r":6: .*epochs: must be a valid integer, got 2\.0"),
        ("epochs: 2", "epochs: true", r":6: .*epochs: must be a valid integer, got True"),
        ("epochs: 2", "epochs: 1" + "0" * 50, r":6: .*epochs: must be less than or equal to 10000, got 10+$"),
        ("epochs: 2", "epochs: [2]", r":6: .*epochs: must be a valid integer, got a list"),
        ("{kind: weight-training}", "3", r":10: searches\.training: must be a mapping of keys to values, got 3"),
        ("iep: {kind: iterative-edge-popup, iterations: 2}", "iep: {kind: iterative-edge-popup, keep: 0.9999999}",
         r"search iep: keep: 0\.9999999 makes 5,877,866 iterations; 100 are the most"),
        ("dataset: digits", "dataset: " + "d" * 61, r"at most 60 characters"),
        ("title: One", "title: 1", r":13: tables\.one\.title: must be a valid string, got 1"),
        ("title: One", "title: \x00", r"not valid YAML"),
        ("seeds: [0, 1]", "seeds: [0, 1, 1, 0]", r"tables\.one\.seeds: .*each seed once, 0, 1 stands there several times"),
        ("seeds: [0, 1]", "seeds: []", r":17: tables\.one\.seeds: .*at least 1"),
        ("iterations: 2", "iterations: 3", r"3 iterations in 2 epochs leave none"),
        ("tables:", "tables: [", r"not valid YAML"),
        ("  one:", "  One.:", r"tables\.One\.: must be of lower-case letters, digits and hyphens"),
    ],
)  # fmt: skip
def test_mistakes(file: Path, old: str, new: str, message: str) -> None:
    refused(file, GOOD, old, new, message)


def refused(file: Path, good: str, old: str, new: str, message: str) -> None:
    """A mistake in place of something good is told, and where."""
    assert old in good
    file.write_text(good.replace(old, new))
    with pytest.raises(BenchError) as caught:
        load_experiments(file)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert str(file) in str(caught.value)


def test_a_row_without_an_id_has_none(file: Path) -> None:
    """Its number is no name, for a claim or beside another row's id."""
    claim = '    claims:\n      a: {text: a, of: {row: "0"}, over: {row: "2"}}\n'
    refused(file, GOOD + claim, "search: training", "search: training", r"claims\.a\.of\.row: there is no row '0'")
    file.write_text(GOOD.replace("{search: ep,", '{id: "0", search: ep,'))
    assert len(load_experiments(file).tables["one"].rows) == 3


def test_a_batch_may_be_as_large_as_what_is_trained_on(file: Path) -> None:
    all_images = GOOD.replace("batch_size: 64", "batch_size: 1200, train_on: all")
    file.write_text(all_images)
    load_experiments(file)
    refused(file, all_images, "1200", "1439", "batch_size 1439 of recipe quick exceeds the 1438 training images")


def test_minus_zero_is_zero(file: Path) -> None:
    file.write_text(GOOD.replace("sparsity: [0.3, 0.5]", "sparsity: -0.0"))
    assert load_experiments(file).tables["one"].cells[2].id == "digits_tiny_dense_ep_quick_s0_seed0"


def test_a_table_computes_in_one_precision(file: Path) -> None:
    other = "  rounded: {epochs: 2, batch_size: 64, learning_rate: 0.1, weight_decay: 1e-4, precision: tf32}\nsearches:\n"
    two = GOOD.replace("searches:\n", other, 1)
    message = r":\d+: tables\.one\.recipe: recipes of one table must compute in one precision, .*rounded in tf32"
    refused(file, two, "search: training", "search: training, recipe: rounded", message)
    file.write_text(two.replace("recipe: quick", "recipe: rounded"))
    assert {cell.recipe.precision for cell in load_experiments(file).tables["one"].cells} == {"tf32"}


def test_a_claim_may_ask_for_more_seeds(file: Path) -> None:
    text = GOOD.replace("{search: ep, sparsity: [0.3, 0.5]}", "{id: ep, search: ep, sparsity: [0.3, 0.5]}")
    text = text.replace("{search: training}", "{id: training, search: training}")
    claims = "    claims:\n      a: {text: a, of: {row: training}, over: {row: ep}, looks: %s}\n"
    for looks, spare in ((1, set()), (3, {2, 3, 4, 5, 6})):
        file.write_text(text + claims % looks)
        experiment = load_experiments(file).tables["one"]
        assert {cell.seed for cell in experiment.spare_cells} == spare
        assert all(cell.seed in (0, 1) for cell in experiment.cells)
    file.write_text((text + claims % 3).replace("seeds: [0, 1]", "seeds: [5, 2]"))
    later = load_experiments(file).tables["one"].spare_cells
    assert {cell.seed for cell in later} == {6, 7, 8, 9, 10}, "those that are left out may be known"
    assert Table.model_validate(
        {"title": "t", "dataset": "d", "network": "n", "recipe": "r", "seeds": [2**32 - 1, 0], "rows": [{"search": "s"}]}
    ).seed_order(4) == [2**32 - 1, 0, 1, 2]
    more = experiment.with_more([cell for cell in experiment.spare_cells if cell.seed == 3])
    assert [len(row) for row in more.rows[:2]] == [3, 6] and len(more.cells) == len(experiment.cells) + 3
    refused(file, text + claims % 3, "looks: 3", "looks: 9", r"looks: must be less than or equal to 8")


def test_rows_that_more_seeds_are_not_for(file: Path) -> None:
    """Those with seeds of their own, and those whose roles come from a ticket, which has the table's seeds."""
    ticket = "source: {layout: from_ticket, prune_ratio: 0.2, lock_ratio: 0.2, ticket: {search: ep, sparsity: 0.5}}"
    text = GOOD.replace("{search: training}", "{id: training, search: training}")
    text = text.replace("{search: ep, sparsity: [0.3, 0.5]}", "{id: ep, search: ep, sparsity: 0.5, %s}")
    text += "    claims: {a: {text: a, of: {row: training}, over: {row: ep}, looks: 3}}\n"
    for own, spare in (("label: x", [5, 5, 0]), ("seeds: [0, 1]", [5, 0, 0]), (ticket, [5, 0, 0])):
        file.write_text(text % own)
        assert [len(row) for row in load_experiments(file).tables["one"].spare] == spare, own


def test_a_cell_has_one_name_in_all_tables(file: Path) -> None:
    two = GOOD + GOOD[GOOD.index("  one:") :].replace("  one:", "  two:")
    file.write_text(two)
    assert len(load_experiments(file).cells()) == 14, "the same cells"
    before, _, after = two.rpartition("[0.3, 0.5]")
    message = r":22: tables\.two: .*_ep_quick_s30_seed0 would be the name of two cells that differ, one of table one: rename"
    refused(file, before + "[THESE]" + after, "THESE", "0.30000000000001", message)


def test_a_missing_and_an_empty_file(file: Path) -> None:
    with pytest.raises(BenchError, match="is missing: run the command in the root"):
        load_experiments(file)
    file.write_text("# nothing\n")
    with pytest.raises(BenchError, match="is empty"):
        load_experiments(file)


def test_ends_of_the_feasible_range_survive_float_arithmetic(file: Path) -> None:
    file.write_text(
        GOOD.replace("[0.1, 0.2], lock_ratio: 0.2", "0.1, lock_ratio: 0.9").replace("sparsity: 0.5}", "sparsity: 0.1}")
    )
    assert load_experiments(file).tables["one"].cells[-1].sparsity == 0.1


def test_identity_depends_on_what_determines_the_result_alone(file: Path) -> None:
    file.write_text(GOOD)
    before = {cell.id: cell.identity for cell in load_experiments(file).tables["one"].cells}
    file.write_text(GOOD.replace("quick", "swift"))
    assert [cell.identity for cell in load_experiments(file).tables["one"].cells] == list(before.values())
    file.write_text(GOOD.replace("epochs: 2", "epochs: 3"))
    assert not set(before.values()) & {cell.identity for cell in load_experiments(file).tables["one"].cells}


def test_identities_are_pinned_so_that_old_results_stay_addressable(file: Path) -> None:
    file.write_text(GOOD)
    cell = load_experiments(file).tables["one"].cells[-1]
    assert cell.id == "digits_tiny_p20l20-epl_iep_quick_s50_seed1"
    assert cell.identity == "360ab4eb6937"


def test_a_cell_that_a_row_names_twice_is_one_cell(file: Path) -> None:
    twice = "{search: ep, sparsity: 0.5, seeds: [0], source: {prune_ratio: [0, 0.4], layout: [epl, erk]}}"
    file.write_text(GOOD.replace("{search: ep, sparsity: [0.3, 0.5]}", twice))
    ids = [cell.id for cell in load_experiments(file).tables["one"].rows[1]]
    assert len(ids) == len(set(ids)) == 3


def test_labels_tell_searches_apart() -> None:
    params = load_experiments(ROOT / "params.yaml").params
    kept = {
        name: search for name, search in params.searches.items() if not name.endswith(("-small", "-medium", "-own"))
    }  # other periods
    labels = {name: search.label for name, search in kept.items()}
    assert labels.pop("iep") == labels["iep-rates"] == "iterative edge popup"  # at other sparsities; a table adds the names
    assert labels.pop("gem-miner-sparse") == labels["gem-miner"]  # its penalty is another one
    assert len(set(labels.values())) == len(labels)
    assert labels["iep-local-hard-long"] == "iterative edge popup, hard (carried scores), local, all epochs in each iteration"


def test_a_freezing_ratio_and_a_share_are_pairs_of_pruned_and_locked(file: Path) -> None:
    grid = "{freezing_ratio: [0.2, 0.7], prune_share: [0.5, 0.9, 1.0], layout: epl, lock_rule: joint}"
    file.write_text(GOOD.replace("{prune_ratio: [0.1, 0.2], lock_ratio: 0.2, layout: epl, lock_rule: joint}", grid)
                    .replace("search: [ep, iep]", "search: ep").replace("sparsity: 0.5}", "sparsity: 0.7}"))  # fmt: skip
    with pytest.raises(BenchError, match=r"prune_ratio <= sparsity <= 1 - lock_ratio does not hold: 0\.35 <= 0\.7 <= 0\.65"):
        load_experiments(file)
    file.write_text(file.read_text().replace("[0.2, 0.7]", "[0.2, 0.6]"))
    cells = load_experiments(file).tables["one"].rows[2]
    pairs = [(cell.source.prune_ratio, cell.source.lock_ratio) for cell in cells if not cell.seed]
    assert pairs == [(0.1, 0.1), (0.18, 0.02), (0.2, 0.0), (0.3, 0.3), (0.54, 0.06), (0.6, 0.0)]
    assert cells[4].source.id == "p20-epl" and cells[0].source.id == "p10l10-epl"
    for wrong, message in ((", prune_share: [0.5, 0.9, 1.0]", "freezing_ratio and prune_share go together"),
                           ("", "give either prune_ratio and lock_ratio, or freezing_ratio and prune_share")):  # fmt: skip
        text = (
            file.read_text().replace(wrong, "")
            if wrong
            else file.read_text().replace("layout: epl", "prune_ratio: 0.1, layout: epl")
        )
        other = file.with_name("other.yaml")
        other.write_text(text)
        with pytest.raises(BenchError, match=message):
            load_experiments(other)


def test_a_share_of_the_free_edges_says_how_sparse_a_ticket_is(file: Path) -> None:
    row = (
        "{search: [ep, iep], source: {prune_ratio: [0.1, 0.2], lock_ratio: 0.2, layout: epl, lock_rule: joint}, sparsity: 0.5}"
    )
    grid = "{search: ep, source: {prune_ratio: [0.2, 0.9], layout: epl}, free_kept: [0.5, 1.0]}"
    file.write_text(GOOD.replace(row, grid))
    assert [cell.sparsity for cell in load_experiments(file).tables["one"].rows[2] if not cell.seed] == [0.6, 0.2, 0.95, 0.9]
    file.write_text(file.read_text().replace("free_kept: [0.5, 1.0]", "free_kept: 0.5, sparsity: 0.9"))
    with pytest.raises(BenchError, match="give either sparsity or free_kept"):
        load_experiments(file)


SMALL = """\
  one-small:
    like: one
    dataset: digits
    seeds: [4]
    networks: {tiny: tinier}
    recipes: {quick: quicker}
"""


def test_a_small_table_has_the_same_rows_at_its_own_budget(file: Path) -> None:
    text = GOOD.replace("  tiny: {kind: conv4, width: 0.125}", "  tiny: {kind: conv4}\n  tinier: {kind: conv4, width: 0.125}")
    text = text.replace("searches:", "  quicker: {epochs: 2, batch_size: 32, learning_rate: 0.1}\nsearches:", 1)
    text = text.replace("{search: training}", "{search: training, seeds: [0, 1, 2]}")  # nor are these the small table's
    file.write_text(text + SMALL)
    tables = load_experiments(file).tables
    full, small = (tables[name].cells for name in ("one", "one-small"))
    assert tables["one"].full_size is None and tables["one-small"].full_size is tables["one"]
    assert tables["one-small"].replaced == "tinier for tiny, quicker for quick"
    assert tables["one-small"].table.title == "One, at a small budget"
    settings = [list(dict.fromkeys(cell.setting for cell in cells)) for cells in (full, small)]
    assert [name.replace("tiny", "tinier").replace("quick", "quicker") for name in settings[0]] == settings[1]
    assert {cell.seed for cell in small} == {4} and {getattr(cell.network, "width", None) for cell in small} == {0.125}
    file.write_text(text + SMALL.replace("like: one\n", "like: one\n    budget: own\n"))
    own = load_experiments(file).tables["one-small"]
    assert own.full_size is None and own.replaced == "" and own.cells == small, "it stands for itself"
    assert own.table.title == "One, on digits"
    for old, new, message in (
        (
            "like: one",
            "like: ona",
            r":25: tables\.one-small\.like: table 'ona' does not exist; did you mean 'one'\? \(there are: one\)",
        ),
        ("like: one", "like: one-small", r"tables\.one-small\.like: table 'one-small' is itself like another one"),
        (
            "dataset: digits\n    seeds: [4]",
            "dataset: digit\n    seeds: [4]",
            r":26: tables\.one-small\.dataset: 'digit' is not declared",
        ),
        ("tiny: tinier", "tiny: tinyest", r":24: tables\.one-small: 'tinyest' is not declared"),
        (
            "tiny: tinier",
            "tinny: tinier",
            r":28: tables\.one-small\.networks\.tinny: table one has no 'tinny' among its networks; did you mean 'tiny'",
        ),
        (
            "quick: quicker",
            "quick: quicker}\n    searches: {ep: training, random: ep",
            r":30: tables\.one-small\.searches\.random: table one has no 'random' among its searches",
        ),
        (
            "quick: quicker",
            "quick: quicker}\n    searches: {iep: ep",
            r":24: tables\.one-small: 7 lines of table one become 5: ",
        ),
        (
            "    like: one\n",
            "    like: one\n    rows: []\n",
            r"tables\.one-small\.rows: unknown key \(allowed: budget, dataset, like,",
        ),
        ("  one-small:\n    like", "small:\n  one:\n    like", r":24: small: is no key any more; .*`like: TABLE`"),
    ):
        other = file.with_name("other.yaml")
        other.write_text((text + SMALL).replace(old, new))
        with pytest.raises(BenchError, match=message):
            load_experiments(other)


def test_ids(file: Path) -> None:
    assert percent(0.832) == "83-2" and percent(0.5) == "50"
    assert Source().id == "dense"
    assert Source(prune_ratio=0.1, lock_ratio=0.2, layout="igq", lock_rule="mirrored").id == "p10l20-igq-mirrored"
    file.write_text(GOOD)
    with pytest.raises(BenchError, match="did you mean 'digits_tiny_dense_ep_quick_s"):
        load_experiments(file).cell("digits_tiny_dense_ep_quick_s30_seed")


def test_the_projects_own_parameters_and_their_schema() -> None:
    experiments = load_experiments(ROOT / "params.yaml")
    assert {"demo", "smoke"} <= set(experiments.tables)
    assert (ROOT / "docs/params.schema.json").read_text() == schema(), "run `slt-bench schema`"

"""Draw the pictures of this folder's README from its own tables.

usage: python benchmarks/draw_tables.py [FOLDER]

A picture has the name of its function here, and lies in docs/images/benchmarks unless another
FOLDER is named. After a table has changed, run this again.
"""

import re
import sys
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

HOME = Path(__file__).parent
FOLDER = HOME.parent / "docs" / "images" / "benchmarks"
NUMBER = r"[+-]?\d+(?:\.\d+)?"
# Raw, gap removed, recommended, told the answer: as in the demo.
RAW, GR, OURS, CEILING = "#bbbbbb", "#ee6677", "#228833", "#4477aa"
STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    # Text stays text, and a picture that has not changed is the same file.
    "svg.fonttype": "none",
    "svg.hashsalt": "gapremoval",
}
LABELS = {"GR": "gap removed (GR)", "GR + posterior odds": "GR + posterior odds, recommended"}
OF_METHOD = {"raw": RAW, "GR": GR, "GR + posterior odds": OURS, "told the modality": CEILING}


def read_tables(path=HOME / "README.md"):
    """The tables of the page, by their heading and the bold line above them.

    Returns
    -------
    dict of (str, str) to dict of str to dict of str to str
        Cells by the first column and the header. The second key counts tables without a bold
        line: "1", "2" and so on.
    """
    tables = {}
    heads = [*re.finditer(r"(?m)^## (.+)$", text := path.read_text(encoding="utf-8"))]
    for head, end in pairwise([*(h.span() for h in heads), (len(text), 0)]):
        section, heading = text[head[1] : end[0]], text[head[0] + 3 : head[1]]
        found = re.finditer(r"(?m)(?:^\*\*(.+)\*\*\n\n)?((?:^\|.*\n)+)", section)
        for number, match in enumerate(found, 1):
            lines = [
                [cell.strip() for cell in line.strip().strip("|").split("|")]
                for line in match[2].splitlines()
            ]
            header, _, *rows = lines
            tables[heading, match[1] or str(number)] = {
                " / ".join(row[:n]): dict(zip(header, row)) for row in rows for n in [_n_keys(rows)]
            }
    return tables


def _n_keys(rows):
    """How many of the first columns tell the rows apart."""
    return next(n for n in range(1, 9) if len({tuple(row[:n]) for row in rows}) == len(rows))


def number(cell):
    """The number at the start of a cell."""
    return float(re.match(NUMBER, cell.replace(",", ""))[0])


def half(cell):
    """Half of the interval behind a number, 0 without one."""
    found = re.search(rf"± ({NUMBER})", cell)
    return float(found[1]) if found else 0.0


def _axes(height=3.2, n=1, **options):
    figure = Figure(figsize=(9, height), layout="constrained")
    axes = figure.subplots(1, n, squeeze=False, **options)[0]
    return figure, axes if n > 1 else axes[0]


def _bars(axes, groups, series):
    """Bars side by side: `series` has the cells of each name, one for each group."""
    at, width = np.arange(len(groups)), 0.8 / len(series)
    for i, (name, cells) in enumerate(series.items()):
        heights, errors = [*map(number, cells)], [*map(half, cells)]
        x = at + (i - (len(series) - 1) / 2) * width
        style = {"color": OF_METHOD[name], "error_kw": {"lw": 0.8, "ecolor": "#444444"}}
        label = LABELS.get(name, name)
        axes.bar(x, heights, width * 0.95, yerr=errors, label=label, **style)
    axes.set_xticks(at, groups)
    axes.set(ylabel="NDCG@10", ylim=(0, 1))
    axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center",
                       ncols=len(series))  # fmt: skip


def headline(tables):
    """Raw, the gap removed and the recommended pipeline, by the modality of the answer."""
    heading, methods = "Which method ranks best?", ["raw", "GR", "GR + posterior odds"]
    figure, axes = _axes()
    answers = ["text", "image", "image+text"]
    of_answer = [tables[heading, f"NDCG@10 where the answer is {x}"] for x in answers]
    all_of = tables[heading, "NDCG@10 in the six settings"]
    series = {m: [x[m]["1:1:1"] for x in [all_of, *of_answer]] for m in methods}
    _bars(axes, ["all", *(f"{x} answers" for x in answers)], series)
    return figure


def methods(tables):
    """Every method: in the mean of the six settings, and across the gap."""
    heading = "Which method ranks best?"
    six = tables[heading, "NDCG@10 in the six settings"]
    across = tables[
        heading, "NDCG@10 across the gap, and the share of the way from GR to the ceiling"
    ]
    names = sorted(six, key=lambda name: number(six[name]["mean"]))
    figure, (left, right) = _axes(6.2, 2, sharey=True)
    for y, name in enumerate(names):
        color = OF_METHOD.get(name, "#444444")
        for axes, cells in ((left, six[name]["over GR, mean"]), (right, None)):
            if cells is None and name not in across:
                continue
            x = number(cells or across[name]["way, mean"])
            error = half(cells) if cells else 0
            axes.errorbar(x, y, xerr=error, color=color, marker="o", markersize=5, lw=1)
    for axes in (left, right):
        axes.axvline(0, color="#999999", lw=0.8, zorder=0)
        axes.grid(axis="y", color="#eeeeee")
    left.set_yticks(range(len(names)), names, fontsize="small")
    left.set(xlabel="NDCG@10 over GR, mean of six settings", xlim=(-0.38, 0.06))
    right.set(xlabel="share of the way across the gap", xlim=(-0.2, 1.05))
    return figure


def across_the_gap(tables):
    """Every answer lies across the gap: three files, both query modalities."""
    table = tables[
        "Which method ranks best?",
        "NDCG@10 across the gap, and the share of the way from GR to the ceiling",
    ]
    groups = [column for column in table["GR"] if column.endswith("queries")]
    told = "GR, told the modality of the answer"
    rows = {"raw": "raw", "GR": "GR", "GR + posterior odds": "GR + posterior odds"}
    series = {name: [table[row][g] for g in groups] for name, row in rows.items()}
    series["told the modality"] = [table[told][g] for g in groups]
    figure, axes = _axes()
    _bars(axes, [g.replace(", ", "\n") for g in groups], series)
    return figure


def image_share(tables):
    """Texts become images one after the other."""
    table = tables["Does a growing share of images hurt?", "NDCG@10 over the share of images"]
    figure, axes = _axes(2.8)
    for name, row in table.items():
        curve = {float(x): float(y) for x, y in row.items() if re.fullmatch(NUMBER, x)}
        label = LABELS.get(name, name)
        axes.plot([*curve], [*curve.values()], "o-", color=OF_METHOD[name], label=label)
    axes.set(xlabel="share of images", ylabel="NDCG@10", ylim=(0, 1.02))
    axes.legend(fontsize="small")
    return figure


def queries_needed(tables):
    """Posterior odds minus GR over the number of queries that teach."""
    table = tables[
        "How many queries does it need?",
        "PosteriorOdds minus GR, NDCG@10, by the number of queries that teach",
    ]
    counts = ["0", "8", "16", "32", "64", "200"]
    figure, axes = _axes(2.8)
    for column, color in (("mean", OURS), ("worst", GR)):
        values = [number(table[n][column]) for n in counts]
        label = {"mean": "mean of the six settings", "worst": "worst setting"}[column]
        axes.plot(counts, values, "o-", color=color, label=label)
    errors = [half(table[n]["mean"]) for n in counts]
    means = np.array([number(table[n]["mean"]) for n in counts])
    axes.fill_between(counts, means - errors, means + errors, color=OURS, alpha=0.15, lw=0)
    axes.axhline(0, color="#999999", lw=0.8)
    axes.set(xlabel="queries that teach, without labels", ylabel="NDCG@10 over GR")
    axes.legend()
    return figure


def borrowed_means(tables):
    """What means of another domain cost."""
    table = tables[
        "What do borrowed means cost?",
        "NDCG@10 with means of the products: mean of the six settings, and the worst",
    ]
    figure, axes = _axes(2.8)
    series = {name: [row[name] for row in table.values()] for name in ("GR", "GR + posterior odds")}
    _bars(axes, [name.replace(" for ", "\nfor ") for name in table], series)
    return figure


def noise(tables):
    """Noise on queries, and calibration on few rows."""
    heading = "What if there is little to calibrate on, or it is noisy?"
    figure, (left, right) = _axes(2.8, 2, sharey=True)
    table = tables[heading, "Noise on queries"]
    for name in ("raw", "GR", "GR + posterior odds"):
        x, y = [*map(float, table)], [number(row[name]) for row in table.values()]
        left.plot(x, y, "o-", color=OF_METHOD[name], label=LABELS.get(name, name))
    left.set(xlabel="length of the noise on queries", ylabel="NDCG@10", ylim=(0.5, 1))
    for title, style in (("the corpus", "o-"), ("the products", "o:")):
        table = tables[heading, f"Calibrated on rows of {title}"]
        for name in ("GR", "GR + posterior odds"):
            x, y = [*map(float, table)], [number(row[name]) for row in table.values()]
            right.plot(x, y, style, color=OF_METHOD[name])
        right.plot([], [], style, color="#444444", label=f"rows of {title}")
    right.set(xlabel="rows of each modality to calibrate on", xscale="log", ylim=(0.5, 1))
    for axes in (left, right):
        axes.legend(fontsize="small")
    return figure


def languages(tables):
    """A query mean for each language."""
    table = tables["Does each language need a query mean?", "Query means by language"]
    figure, axes = _axes(2.8)
    columns = ["German, with its own", "German, with a common one", "German, with the English"]
    for column, color in zip(columns, (OURS, CEILING, GR)):
        rows = [row for name, row in table.items() if name.startswith("recommended")]
        offsets = [number(row["offset"]) for row in rows]
        axes.plot(offsets, [number(row[column]) for row in rows], "o-", color=color, label=column)
    axes.set(xlabel="how far German questions lie from English ones", ylabel="NDCG@10", ylim=(0, 1))
    axes.legend(fontsize="small")
    return figure


def probabilities(tables):
    """The probability of the top document against how often it is right."""
    table = tables[
        "Are the probabilities true?",
        "The top document: how probable it is said to be, how often it is right",
    ]
    figure, axes = _axes(4)
    axes.plot([0.4, 1], [0.4, 1], color="#999999", lw=0.8)
    for name, row in table.items():
        if row["said, random halves"]:
            is_pair = name.endswith("queries")
            x, y = number(row["said, random halves"]), number(row["right, random halves"])
            axes.plot(x, y, "s" if is_pair else "o", color=CEILING if is_pair else OURS)
    axes.plot([], [], "o", color=OURS, label="settings, one modality")
    axes.plot([], [], "s", color=CEILING, label="every answer across the gap")
    axes.set(xlabel="mean probability of the top document", ylabel="how often it is right",
             xlim=(0.45, 1), ylim=(0.45, 1), aspect="equal")  # fmt: skip
    axes.legend(fontsize="small")
    return figure


def false_alarms(tables):
    """Questions without an answer that pass, and those with one."""
    table = tables['Is "nothing here" honest?', "1"]
    rows = [row for name, row in table.items() if name not in ("mean", "largest")]
    levels = ["0.05", "0.1", "0.2", "0.5"]
    figure, axes = _axes(2.8)
    for i, level in enumerate(levels):
        for prefix, color, label in (
            ("seen at", GR, "without an answer: should be at the line"),
            ("answered, at", OURS, "with an answer: the more the better"),
        ):
            y = [number(row[f"{prefix} {level}"]) for row in rows]
            jitter = np.linspace(-0.12, 0.12, len(y)) + i
            axes.plot(jitter, y, ".", color=color, label=label if i == 0 else None)
        axes.plot([i - 0.2, i + 0.2], [float(level)] * 2, color="#444444", lw=1)
    axes.set_xticks(range(len(levels)), [f"at most {x}" for x in levels])
    axes.set(xlabel="false_alarm", ylabel="share of questions that pass", ylim=(0, 1))
    axes.legend(fontsize="small", loc="upper left")
    return figure


def search_speed(tables):
    """Exact searches in times of the bare matrix product."""
    table = tables["How fast is the exact search?", "1"]
    figure, axes = _axes(2.8)
    columns = ["256 queries", "16 queries", "1 query"]
    names = [name for name in table if "not exact" not in name]
    at = np.arange(len(names))
    for i, (column, color) in enumerate(zip(columns, (OURS, CEILING, RAW))):
        y = [number(table[name][column]) for name in names]
        axes.bar(at + (i - 1) * 0.26, y, 0.25, color=color, label=column)
    axes.axhline(1, color="#444444", lw=0.8)
    axes.set_xticks(at, [name.replace(", ", ",\n") for name in names])
    axes.set(ylabel="times the matrix product")
    axes.legend(fontsize="small")
    return figure


def search_size(tables):
    """Seconds and memory over the number of documents."""
    table = tables["How fast is the exact search?", "3"]
    figure, axes = _axes(2.8)
    x = [number(name) for name in table]
    for column, color in (("fit, s", GR), ("256 queries, ms", OURS), ("1 query, ms", CEILING)):
        name, unit = column.split(", ")
        y = [number(row[column]) * {"s": 1, "ms": 1e-3}[unit] for row in table.values()]
        axes.loglog(x, y, "o-", color=color, label=name)
    axes.set(xlabel="documents of 512 features, two cores", ylabel="seconds")
    axes.legend(fontsize="small")
    return figure


PICTURES = [
    headline, methods, across_the_gap, image_share, queries_needed, borrowed_means, noise,
    languages, probabilities, false_alarms, search_speed, search_size,
]  # fmt: skip


def main(folder=FOLDER):
    tables, folder = read_tables(), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        for draw in PICTURES:
            figure = draw(tables)
            figure.savefig(folder / f"{draw.__name__}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:2])

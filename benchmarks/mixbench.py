"""MixBench, and the three settings of the paper, with any encoder.

usage: python benchmarks/mixbench.py [--model MODEL ...] [--subset SUBSET ...] [--data FOLDER]
       [--screenshots FOLDER] [--methods METHOD ...] [--out FOLDER] [--jobs N] [--draws N]
       [--miniature]

For each subset it prints the figures of raw embeddings, of the paper's method (GR) and of the
recommended pipeline, or of other --methods of methods.py, beside those that the paper printed,
and draws them. Without --data the subsets are downloaded. What was encoded and measured is kept
below --out, so that the same command goes on where it stopped. A model is one of open_clip, or
st:NAME of sentence-transformers. --screenshots takes a collection
in BEIR's files, draws its texts, and measures setting 1 on them. --miniature needs neither a
network nor a GPU: it runs all of it on small data sets of drawn scenes, by default with the
pocket model.

GR and the recommended pipeline learn from the corpus itself and from its queries, unlabeled. The
paper took its means from about 10,000 rows of the training sets, which are not published.
"""

import argparse
import json
import re
import warnings
from itertools import chain
from pathlib import Path

import matplotlib
import pandas as pd
from methods import GR, METHODS, OURS
from tables import interval, print_table, quiet

from gapremoval.datasets import (
    fetch_mixbench,
    load_beir,
    load_mixbench,
    make_mixbench,
    make_scenes,
    render_text,
)
from gapremoval.encoders import make_encoder
from gapremoval.evaluation import (
    ComparisonDisplay,
    Corpus,
    compare,
    compare_mixes,
    sweep_fusion_weight,
    sweep_image_share,
)

# What the paper calls these methods.
PAPER_PREFIX = {"raw": "", GR: "GR-"}
PAPER_COLUMN = {"raw": "raw", GR: "gr"}

# The paper's encoders, by their names in open_clip.
PAPER_MODELS = {
    "ViT-B-16/openai": "CLIP-B/16",
    "ViT-L-14/openai": "CLIP-L/14",
    "ViT-B-16/laion2b_s34b_b88k": "OpenCLIP-B/16",
    "ViT-L-14/laion2b_s32b_b82k": "OpenCLIP-L/14",
    "ViT-SO400M-14-SigLIP-384/webli": "SigLIP-400m",
}
SUBSETS = ["MSCOCO", "Google_WIT", "VisualNews", "OVEN"]
# The paper's shares of images; the gap hurts most where few texts are left.
SHARES = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 1]
METRICS = {"ndcg@10": "NDCG@10", "ndcg@100": "NDCG@100", "recall@1": "Recall@1"}
MODALITIES = ["text", "image", "image+text"]
PAPER = Path(__file__).parent / "paper"


def encode(encoder, *lists):
    """The rows of several lists of items, which are encoded in one go."""
    rows, start, parts = encoder.transform([*chain(*lists)]), 0, []
    for some in lists:
        parts.append(rows[start : start + len(some)])
        start += len(some)
    return parts


def measure_subset(pipelines, encoder, data, sweep, options):
    """A comparison by setting, and of the shipped mix by metric."""
    judged = [i for i, answers in enumerate(data.relevance) if answers is not None]
    relevance = [data.relevance[i] for i in judged]
    documents, queries, text, image = encode(
        encoder, data.documents, [data.queries[i] for i in judged], data.pairs.texts,
        data.pairs.images,
    )  # fmt: skip
    shipped = {"shipped": Corpus(documents, data.ids, queries, relevance)}
    item = {id_: i for i, id_ in enumerate(data.pairs.ids)}
    # A pair that lacks a part is not among them, of which load_mixbench warned.
    whole = [i for i, gains in enumerate(relevance) if gains.keys() <= item.keys()]
    answers = [{item[x]: gain for x, gain in relevance[i].items()} for i in whole]
    settings = {"questions": (queries[whole], answers), **options}
    return {
        "shares": sweep_image_share(pipelines, text, image, **sweep, **settings),
        "weights": sweep_fusion_weight(pipelines, text, image, **settings),
        "drawn": compare_mixes(pipelines, text, image, n_draws=sweep["n_draws"], **settings),
        **{x: compare(pipelines, shipped, metric=x, **options) for x in METRICS},
    }


def measure_screenshots(pipelines, encoder, folder, pictures, sweep, options):
    """Setting 1 with texts and pictures of the same texts."""
    data = load_beir(folder)
    pictures.mkdir(parents=True, exist_ok=True)
    files = [pictures / f"{i}.png" for i in range(len(data.ids))]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for text, file in zip(data.documents, files):
            if not file.exists():
                render_text(text).save(file)
    if caught:
        print(f"{len(caught)} warnings while texts were drawn, the first: {caught[0].message}")
    queries, text, image = encode(encoder, data.queries, data.documents, files)
    item = {id_: i for i, id_ in enumerate(data.ids)}
    answers = [{item[x]: gain for x, gain in gains.items()} for gains in data.relevance]
    return sweep_image_share(
        pipelines, text, image, questions=(queries, answers), **sweep, **options
    )


def number(value):
    return "" if value is None else f"{value:.3f}"


def paper(name):
    return pd.read_csv(PAPER / f"{name}.csv", comment="#")


def names_of(comparison):
    return list(dict.fromkeys(comparison["pipeline"]))


def every(comparison, pipeline, answer_modality="all"):
    """The rows of a pipeline, of the queries with one modality of answer."""
    chosen = comparison["answer_modality"] == answer_modality
    return comparison[chosen & (comparison["pipeline"] == pipeline)]


def print_mix(model, subset, measured):
    """Setting 3: the shipped mix, and several drawn ones."""
    table = paper("table1").set_index(["system", "subset"])
    rows = []
    for name in names_of(measured["ndcg@10"]):
        system = f"{PAPER_PREFIX.get(name, '?')}{PAPER_MODELS.get(model, model)}"
        row = [name]
        for metric in METRICS:
            published = table[metric].get((system, subset))
            found = every(measured[metric], name).iloc[0]
            row += [interval(found), number(published)]
        for modality in MODALITIES:
            found = every(measured["ndcg@10"], name, modality)["mean"]
            row.append(number(found.iloc[0] if len(found) else None))
        of_draws = measured["drawn"].by_query.query("pipeline == @name").groupby("draw")["value"]
        spread = f" ± {of_draws.mean().std():.3f}" if of_draws.ngroups > 1 else ""
        row.append(f"{of_draws.mean().mean():.3f}{spread}")
        rows.append(row)
    columns = ["", *chain(*((x, "paper") for x in METRICS.values()))]
    columns += [f"answered by {x}" for x in MODALITIES] + ["drawn mixes, NDCG@10"]
    print_table(f"{subset}, setting 3: the shipped mix, with {model}", columns, rows)


def print_shares(model, subset, shares):
    """Setting 1: the ends and the lowest point of each curve."""
    curves = {
        name: every(shares, name).set_index("image_share")["mean"] for name in names_of(shares)
    }
    published = published_curves(model, subset).items()
    curves |= {f"{name}, the paper": curve for name, curve in published}
    rows = []
    for name, curve in curves.items():
        ends, lowest = curve.iloc[[0, -1]], f"{curve.min():.3f} at {curve.idxmin():g}"
        depth = 1 - curve.min() / ends.mean()
        rows.append([name, number(ends.iloc[0]), lowest, number(ends.iloc[1]), number(depth)])
    columns = ["NDCG@10", "texts only", "lowest, at share of images", "images only", "sag"]
    print_table(f"{subset}, setting 1, with {model}", columns, rows)


def published_curves(model, subset):
    """The paper's curves over the share of images; it does not tell the size of its encoder."""
    family = PAPER_MODELS.get(model, "").split("-")[0]
    curves = paper("setting1").query(f"curve == '{family}-{subset}'").set_index("image_share")
    columns = {name: f"{column}_ndcg@10" for name, column in PAPER_COLUMN.items()}
    return {} if curves.empty else {name: curves[column] for name, column in columns.items()}


def print_weights(model, subset, weights):
    """Setting 2: one modality alone, and the best weight."""
    family = PAPER_MODELS.get(model, "").split("-")[0]
    panel = paper("setting2").query(f"panel == '{family}-{subset.replace('_', '')}'")
    rows = []
    for name in names_of(weights):
        curve = every(weights, name).set_index("fusion_weight")["mean"]
        best = f"{curve.max():.3f} at {curve.idxmax():g}"
        rows.append([name, number(curve[0]), number(curve[1]), best])
    for name, column in PAPER_COLUMN.items() if len(panel) else ():
        image, text, best, weight = panel.filter(regex=f"^{column}_").iloc[0]
        best = f"{best:.3f} at {weight:g}"
        rows.append([f"{name}, the paper", number(image), number(text), best])
    columns = ["NDCG@10", "image only", "text only", "best, at weight of the text"]
    print_table(f"{subset}, setting 2, with {model}", columns, rows)


def print_means(model, measured):
    """The mean over the subsets."""
    table = paper("table1").groupby("system")["ndcg@10"].mean()
    rows = []
    for name in names_of(next(iter(measured.values()))["ndcg@10"]):
        means = [every(x["ndcg@10"], name)["mean"].iloc[0] for x in measured.values()]
        published = None
        if [*measured] == SUBSETS and name in PAPER_PREFIX:
            published = table.get(f"{PAPER_PREFIX[name]}{PAPER_MODELS.get(model)}")
        rows.append([name, number(sum(means) / len(means)), number(published)])
    columns = ["", "NDCG@10", "paper"]
    print_table(f"Mean over {', '.join(measured)}, setting 3, with {model}", columns, rows)


def draw(model, measured, file):
    """A row of panels for each subset: settings 1, 2 and 3."""
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        len(measured), 3, figsize=(13, 3.6 * len(measured)), layout="constrained", squeeze=False
    )
    for row, (subset, found) in zip(axes, measured.items()):
        ComparisonDisplay(found["shares"]).plot(row[0])
        for name, curve in published_curves(model, subset).items():
            row[0].plot(curve.index, curve, "k:" if name == "raw" else "k--", linewidth=1)
        ComparisonDisplay(found["weights"]).plot(row[1])
        shipped = found["ndcg@10"]
        names = [x for x in ("all", *MODALITIES) if x in set(shipped["answer_modality"])]
        methods = names_of(shipped)
        for i, name in enumerate(methods):
            means = [every(shipped, name, x)["mean"].iloc[0] for x in names]
            places = [place + 0.8 * i / len(methods) for place in range(len(names))]
            row[2].bar(places, means, 0.7 / len(methods), label=name)
        row[2].set_xticks(range(len(names)), names)
        row[2].set_xlabel("modality of the answer")
        for ax, title in zip(row, ("images among texts", "weight of the text", "shipped mix")):
            ax.set(title=f"{subset.replace('_', ' ')}: {title}", ylabel="NDCG@10", ylim=(0, 1))
    figure.suptitle(f"MixBench with {model} (black: the paper)")
    figure.savefig(file, dpi=120)
    print(f"Drawn to {file}")


def write_miniature(folder):
    """Small data sets of drawn scenes, and a text collection of their captions."""
    make_mixbench(folder / "Scenes", 45, n_queries=30, random_state=0)
    make_mixbench(folder / "Scenes_asked_with_images", 24, image_queries=True, random_state=1)
    captions = make_scenes(12, random_state=2).captions
    beir = folder / "beir"
    (beir / "qrels").mkdir(parents=True, exist_ok=True)
    texts = {"corpus": [x[0] for x in captions], "queries": [x[1] for x in captions]}
    for name, some in texts.items():
        lines = [json.dumps({"_id": f"{i}", "title": "", "text": x}) for i, x in enumerate(some)]
        (beir / f"{name}.jsonl").write_text("\n".join(lines))
    rows = ["query-id\tcorpus-id\tscore", *(f"{i}\t{i}\t1" for i in range(len(captions)))]
    (beir / "qrels" / "test.tsv").write_text("\n".join(rows))
    return ["Scenes", "Scenes_asked_with_images"], beir


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    help = "networks of open_clip, or st:NAME of sentence-transformers"
    parser.add_argument("--model", nargs="+", help=help)
    parser.add_argument("--subset", nargs="+", default=SUBSETS)
    parser.add_argument("--data", type=Path, help="folder with a folder for each subset")
    parser.add_argument("--screenshots", type=Path, help="a collection in BEIR's files")
    parser.add_argument("--methods", nargs="+", default=["raw", GR, OURS], choices=METHODS)
    parser.add_argument("--out", type=Path, default=Path("mixbench_results"))
    parser.add_argument("--jobs", type=int, default=-1, help="processes, as in joblib")
    parser.add_argument("--draws", type=int, default=5, help="random corpora of each kind")
    parser.add_argument("--miniature", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.miniature:
        args.data, args.jobs, args.draws = args.out / "miniature", None, 2
        args.subset, args.screenshots = write_miniature(args.data)
        quiet()
    options = {"cache": args.out / "results", "n_jobs": args.jobs}
    pipelines = {name: METHODS[name] for name in args.methods}
    sweep = {"n_draws": args.draws, "shares": SHARES[::5] if args.miniature else SHARES}
    for model in args.model or ["pocket" if args.miniature else "ViT-L-14/openai"]:
        encoder = make_encoder(model, memory=args.out / "rows", verbose=not args.miniature)
        measured = {}
        for subset in args.subset:
            data = load_mixbench(args.data / subset) if args.data else fetch_mixbench(subset)
            found = measured[subset] = measure_subset(pipelines, encoder, data, sweep, options)
            print_mix(model, subset, found)
            print_shares(model, subset, found["shares"])
            print_weights(model, subset, found["weights"])
        print_means(model, measured)
        draw(model, measured, args.out / f"mixbench_{re.sub('[/:]', '_', model)}.png")
        if args.screenshots:
            pictures = args.out / "screenshots" / args.screenshots.name
            shares = measure_screenshots(
                pipelines, encoder, args.screenshots, pictures, sweep, options
            )
            print_shares(model, args.screenshots.name, shares)


if __name__ == "__main__":
    main()

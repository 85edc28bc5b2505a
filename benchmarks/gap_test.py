"""Does the test of the gap see gaps, and nothing else? What does it cost to follow its advice?

usage: python benchmarks/gap_test.py [--draws N]
"""

import argparse
import warnings

import numpy as np
from centering import RAW, as_queries, means, ndcg
from corpora import PAIR_FILES, PATTERNS, flickr8k, pairs
from real_data import load_real
from sklearn.cluster import KMeans
from tables import print_table, quiet

from gapremoval import EmbeddingArray
from gapremoval.calibration import GapShift
from gapremoval.datasets import make_mixed_modality
from gapremoval.metrics import modality_gap_test

SIZES = (20, 50, 100, 200, 500, 1000)
FEW = (8, 16, 32)
RARE = (10, 20, 40)
# Fractions of the gap that are closed before it is measured and removed.
CLOSED = (0, 0.4, 0.6, 0.8, 0.9, 1)
COSTS = ["raw", "one mean", "own means", "own means against one"]


def without_gap():
    """Rows of one modality, by name."""
    flickr, products = load_real(PAIR_FILES["Flickr8k"]), load_real(PAIR_FILES["products"])
    drawn, _ = make_mixed_modality(1000, proportions={"text": 1}, queries={}, random_state=0)
    return {
        "Flickr8k, photos": np.concatenate([flickr["image"], flickr["extra"]]),
        "Flickr8k, captions": flickr["text"][:, 0],
        "COCO, captions": load_real(PAIR_FILES["COCO"])["text"],
        "products, photos": products["image"],
        "products, texts": products["text"],
        "drawn texts": drawn.values,
    }


def texts_and_images(name):
    data = load_real(PAIR_FILES[name])
    text = data["text"]
    return (text[:, 0] if text.ndim == 3 else text), data["image"]


def result_of(text, image, seed=0, is_paired=False, **options):
    X = EmbeddingArray.concatenate({"text": text, "image": image})
    y = [*range(len(text)), *range(len(image))] if is_paired else None
    return modality_gap_test(X, y, random_state=seed, **options)


def divided(values, n_text, seed):
    return result_of(values[:n_text], values[n_text:], seed, n_permutations=199)


def said(results):
    """Shares of the tests with a p-value below .05, and of those that advise to correct."""
    significant = np.mean([x.p_value < 0.05 for x in results])
    return f"{significant:.3f} / {np.mean([x.should_correct for x in results]):.3f}"


def print_false_alarms(n_draws):
    random, rows = np.random.default_rng(0), []
    for name, values in without_gap().items():
        for share in (0.5, 0.1):
            cells = []
            for n in SIZES:
                n_text = round(share * n)
                if n > len(values):
                    cells.append("")
                    continue
                draws = (values[random.permutation(len(values))[:n]] for _ in range(n_draws))
                cells.append(said([divided(x, n_text, seed) for seed, x in enumerate(draws)]))
            rows.append([name, f"{share:.0%}", *cells])
    print_table(
        "No gap: share of random divisions with p < .05, and share called a gap",
        ["rows", "called text", *map(str, SIZES)],
        rows,
    )


def print_repeated(n_draws):
    """Five captions each of 50 items, half of which are called images."""
    text, random, results = load_real(PAIR_FILES["Flickr8k"])["text"], np.random.default_rng(0), {}
    for seed in range(n_draws):
        items = random.permutation(len(text))
        by_item = np.concatenate(text[items])
        by_row, two = random.permutation(by_item), random.permuted(text, axis=1)[:, :2]
        half = len(by_item) // 2
        results.setdefault("125 captions against 125", []).append(divided(by_row, half, seed))
        by_item = divided(by_item, half, seed)
        results.setdefault("all captions of 25 items against those of 25", []).append(by_item)
        one = divided(text[items, 0], 25, seed)
        results.setdefault("one caption each of 25 items against 25", []).append(one)
        pairs = result_of(two[:, 0], two[:, 1], seed, is_paired=True, n_permutations=199)
        results.setdefault("two captions of each item, as pairs", []).append(pairs)
    rows = [[name, said(some)] for name, some in results.items()]
    print_table("No gap: captions of Flickr8k that repeat items", ["rows", "called a gap"], rows)


def print_power(n_draws):
    random, rows = np.random.default_rng(0), []
    for name in PAIR_FILES:
        text, image = texts_and_images(name)
        for is_paired in (False, True):
            cells = []
            for n in FEW:
                results = []
                for seed in range(n_draws):
                    one, other = (random.permutation(len(text))[:n] for _ in range(2))
                    other = one if is_paired else other
                    results.append(result_of(text[one], image[other], seed, is_paired))
                effects = [x.effect_size for x in results]
                found = np.mean([x.should_correct for x in results])
                cells.append(f"{found:.3f} ({min(effects):.2f} to {max(effects):.2f})")
            every = result_of(text, image, 0, is_paired)
            cells.append(f"{every.should_correct:.0f} ({every.effect_size:.2f})")
            rows.append([name, "yes" if is_paired else "no", *cells])
    print_table(
        "Real gaps: share found, and effect sizes, with few rows of each modality",
        ["rows", "pairs", *(f"{n} + {n}" for n in FEW), "all"],
        rows,
    )


def print_rare_modality(n_draws):
    """Few photos among texts of two domains."""
    (products, _), (captions, images) = map(texts_and_images, ("products", "Flickr8k"))
    texts, random, rows = np.concatenate([products, captions]), np.random.default_rng(0), []
    for n in RARE:
        draws = (images[random.permutation(len(images))[:n]] for _ in range(n_draws))
        results = [result_of(texts, x, seed, n_permutations=199) for seed, x in enumerate(draws)]
        effects = [x.effect_size for x in results]
        found = np.mean([x.should_correct for x in results])
        largest_p = max(x.p_value for x in results)
        spread = f"{min(effects):.3f} to {max(effects):.3f}"
        rows.append([f"{len(texts)} + {n}", spread, f"{largest_p:.3f}", f"{found:.3f}"])
    print_table(
        "A rare modality: texts of products and captions beside few photos of the captions",
        ["texts + photos", "effect size", "largest p-value", "share found"],
        rows,
    )


def costs(documents, ids, queries, relevance):
    """NDCG@10 of raw rows, with one mean for all documents, and with a mean a modality."""
    values = np.concatenate([documents.values[documents.modality == m] for m in ("text", "image")])
    one = means(EmbeddingArray(values, "all"))["all"]
    asks, own = means(queries), means(documents)
    raw = RAW | {"query:image": RAW["text"]}
    versions = (raw, dict.fromkeys(own, one) | asks, own | asks)
    return [ndcg(documents, ids, queries, relevance, centers) for centers in versions]


def cost_cells(scores):
    raw, one, own = np.transpose(scores)
    cells = [f"{x.mean():.3f}" for x in (raw, one, own)]
    return [*cells, f"{np.mean(own - one):+.3f}"]


def print_small_gaps():
    """Real corpora of which a part of the gap is closed beforehand."""
    cases = {"Flickr8k, 1:1:1": flickr8k([[*PATTERNS["1:1:1"]]])}
    cases |= {f"{name}, answers across": draws for name, draws in pairs(3).items()}
    rows = []
    for name, corpora in cases.items():
        for closed in CLOSED:
            scores, effects = [], []
            for corpus in corpora:
                both = EmbeddingArray.concatenate([corpus.documents, corpus.queries])
                both = GapShift(amount=closed).fit_transform(both)
                n = len(corpus.documents)
                documents, queries = both[:n], both[n:]
                effects.append(modality_gap_test(documents, n_permutations=199).effect_size)
                scores.append(costs(documents, corpus.ids, queries, corpus.relevance))
            rows.append([name, f"{closed:.0%}", f"{np.mean(effects):.3f}", *cost_cells(scores)])
    print_table(
        "Gaps that are partly closed: effect size, and NDCG@10",
        ["corpus", "closed", "effect size", *COSTS],
        rows,
    )


def topics(values):
    return KMeans(2, n_init=10, random_state=0).fit_predict(values - values.mean(axis=0)) == 0


def print_topics():
    """Documents of two topics: their modalities differ, or their topics alone."""
    flickr = load_real(PAIR_FILES["Flickr8k"])
    text, image = flickr["text"], flickr["image"]
    drawn, _ = make_mixed_modality(
        300, proportions={"text": 1}, queries={"text": 2}, random_state=0
    )
    asked = drawn.values[drawn.modality == "query:text"].reshape(300, 2, -1)
    drawn = drawn.values[drawn.modality == "text"]
    # The rows called text, those called image, and the queries of each item.
    cases = {
        "Flickr8k, captions, no gap": [(text[:, 0], text[:, 1], text[:, 2:])],
        "drawn texts, no gap": [(drawn, asked[:, 0], asked[:, 1])],
        "Flickr8k, a real gap": [(text[:, i], image, np.delete(text, i, axis=1)) for i in range(5)],
    }
    rows = []
    for name, draws in cases.items():
        scores, plain, paired = [], [], []
        for one, other, asks in draws:
            about = topics(np.hstack([one - one.mean(axis=0), other - other.mean(axis=0)]))
            for is_text in (about, ~about):
                documents = {"text": one[is_text], "image": other[~is_text]}
                plain.append(result_of(*documents.values()))
                paired.append(result_of(one, other, is_paired=True))
                ids = [*np.flatnonzero(is_text), *np.flatnonzero(~is_text)]
                documents = EmbeddingArray.concatenate(documents)
                scores.append(costs(documents, ids, *as_queries(asks)))
        cells = []
        for results in (plain, paired):
            effect = np.mean([x.effect_size for x in results])
            cells.append(f"{np.mean([x.should_correct for x in results]):.2f} ({effect:.3f})")
        rows.append([name, *cells, *cost_cells(scores)])
    print_table(
        "One topic a modality: share called a gap, effect size, and NDCG@10",
        ["rows", "all rows", "pairs of both topics", *COSTS],
        rows,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200)
    n_draws = parser.parse_args().draws
    quiet()
    warnings.filterwarnings("ignore", message=".*length zero")
    print_false_alarms(n_draws)
    print_repeated(n_draws)
    print_power(n_draws)
    print_rare_modality(n_draws // 4)
    print_small_gaps()
    print_topics()


if __name__ == "__main__":
    main()

"""GapReport: what it says, that it says it everywhere alike, and what it refuses."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_results_page import NASTY, Page, shown

from gapremoval import EmbeddingArray, Query, search
from gapremoval.datasets import make_mixed_modality
from gapremoval.inspection import GapReport
from gapremoval.inspection._report_choice import METHODS, code_of

NASTY_TITLE = "<script>alert(1)</script> | `*_x_*`"


def contents_of(X, y):
    """A text or a picture, or both, of each document, and a text of each query."""
    contents, questions = {}, []
    for i, (name, id_) in enumerate(zip(X.modality, y)):
        if name.startswith("query"):
            questions.append(f"What is {id_}? {NASTY[i % len(NASTY)]}")
        elif name == "text":
            contents.setdefault(id_, []).append(f"text of {id_} {NASTY[i % len(NASTY)]}")
        else:
            picture = Image.new("RGB", (300, 200), (i % 255, 90, 160))
            contents.setdefault(id_, []).append(picture)
    return contents, questions


@pytest.fixture(scope="module")
def rows():
    return make_mixed_modality(60, random_state=0)


@pytest.fixture(scope="module")
def report(rows):
    X, y = rows
    contents, questions = contents_of(X, y)
    return GapReport(X, y, contents=contents, questions=questions, title=NASTY_TITLE)


@pytest.fixture(scope="module")
def figures(report):
    return json.loads(report.json())


def same_cloud(n_rows=120, seed=0):
    """Rows of one cloud, half of which are called texts and half images; no queries."""
    values = np.random.default_rng(seed).normal(size=(n_rows, 16)) + 1
    return EmbeddingArray(values, ["text", "image"] * (n_rows // 2))


def test_rows_with_a_gap_are_to_be_corrected_and_rows_without_one_are_not(report):
    assert report.advice == "correct"
    assert repr(report) == "GapReport(Correct: there is a modality gap)"
    other = GapReport(same_cloud())
    assert other.advice == "do not correct"
    first = Page(other.html()).said
    first = [text.strip() for text in first if text.strip()]
    at = first.index("Modality gap report", 1)
    # After the title of the window, the styles and the title of the page.
    headline = next(text for text in first[at:] if text != "Modality gap report")
    assert headline.startswith("Do not correct")
    assert "**Do not correct: there is no modality gap**" in other.markdown()
    assert "MixedModalityRetriever()" in json.loads(other.json())["code"]


@pytest.mark.parametrize("seed", [1, 2])
def test_chance_alone_is_no_gap_between_parts_of_documents(seed):
    pairs = np.repeat(np.arange(15), 2)
    X = same_cloud(30, seed=seed)
    assert GapReport(X, pairs).advice == "cannot tell"
    X, pairs = same_cloud(60, seed=seed), np.repeat(np.arange(30), 2)
    assert GapReport(X, pairs).advice == "do not correct"


def test_shares_of_the_first_places_are_those_of_plain_numpy(rows, figures):
    X, y = rows
    names, ids = X.modality, np.array(y)
    vectors, modality = [], []
    for id_ in dict.fromkeys(y):
        parts = X.values[(ids == id_) & ~np.char.startswith(names.astype(str), "query")]
        fused = (parts / np.linalg.norm(parts, axis=1, keepdims=True)).sum(axis=0)
        vectors.append(fused / np.linalg.norm(fused))
        modality.append("+".join(sorted(set(names[ids == id_]) - {"query:text"})))
    scores = X.values[names == "query:text"] @ np.array(vectors).T
    top = np.array(modality)[np.argsort(-scores, axis=1)[:, :10]]
    raw = figures["ranking"]["ways"][0]
    assert raw["name"] == "raw"
    for name, share in raw["share_of_top"].items():
        assert share == pytest.approx(np.mean(top == name))
        assert figures["ranking"]["share_of_corpus"][name] == pytest.approx(
            np.mean(np.array(modality) == name)
        )


def test_the_measures_are_small_after_the_correction(figures):
    measures = {measure["name"]: measure for measure in figures["measures"]}
    assert {"centroid_distance", "linear_separability", "same_modality_neighbors"} <= {*measures}
    for name in ("centroid_distance", "variance_between", "linear_separability"):
        before, after, level = (measures[name][x] for x in ("before", "after", "without_gap"))
        assert abs(after - level) < 0.1 * abs(before - level)


def test_page_json_and_markdown_agree(report, figures):
    page, markdown = " ".join(Page(report.html()).text.split()), report.markdown()
    for way in figures["ranking"]["ways"]:
        for value in way["ndcg"].values():
            assert f"{value:.3f}" in page
            assert f"{value:.3f}" in markdown
    for row in figures["methods"]["rows"]:
        assert f"{row['mean']:.3f}" in page
        assert f"| {row['name']}" in markdown
    assert figures["verdict"]["headline"] in page
    assert figures["verdict"]["headline"] in markdown


def test_json_has_plain_values_and_stable_keys(report, figures):
    assert [*figures] == [
        *("title", "version", "data", "pairs", "n_measured", "measures", "between", "map"),
        *("ranking", "cosines", "probabilities", "queries"),
        *("methods", "fusion_weight", "advised", "verdict", "code", "notes"),
    ]
    assert "NaN" not in report.json()


def test_tables_of_markdown_have_rows_of_one_length(report):
    blocks = re.findall(r"(?:^\|.*\n)+", report.markdown(), re.MULTILINE)
    assert len(blocks) >= 6
    for block in blocks:
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(cells) == 1, block
    assert r"# &lt;script&gt;alert(1)&lt;/script&gt; \| \`\*\_x\_\*\`" in report.markdown()


def test_whatever_is_shown_stays_text_and_nothing_comes_from_elsewhere(report, rows):
    page = Page(report.html())
    assert [attributes.get("type") for attributes in page.all("script")] == [
        "application/json",
        None,
    ]
    assert page.all("h1")
    assert NASTY_TITLE in page.text
    for nasty in NASTY[:3]:
        assert shown(nasty) in page.text
    assert not page.all("img")  # none of a text, and pictures are symbols
    policy = next(m["content"] for m in page.all("meta") if "http-equiv" in m)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    sources = [attributes["href"] for attributes in page.all("image")]
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert all(link["href"].startswith("#") for link in page.all("a"))


def test_each_picture_is_embedded_once(report):
    page = Page(report.html())
    sources = [attributes["href"] for attributes in page.all("image")]
    used = [attributes["href"] for attributes in page.all("use") if "href" in attributes]
    assert len(sources) <= 60
    assert len(used) > len(sources)
    assert {int(href.removeprefix("#picture-")) for href in used} <= {*range(len(sources))}


def test_a_page_of_many_pictures_stays_below_5_mb():
    X, y = make_mixed_modality(400, proportions={"image": 1, "text": 1}, random_state=0)
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    questions = [picture] * 400  # each is another picture, for all that the page knows
    contents = {id_: picture for id_, name in zip(y, X.modality) if name == "image"}
    page = GapReport(X, unjudged(X, y), contents=contents, questions=questions).html()
    assert len(page) < 5_000_000
    assert len(Page(page).all("image")) == 250  # of some 400 that could be shown
    assert "not all pictures are in it" in page


def test_a_notebook_gets_a_frame(report):
    snippet = report.html_snippet()
    (frame,) = Page(snippet).all("iframe")
    assert frame["srcdoc"] == report.html()
    assert report._repr_html_() == snippet


def test_the_page_is_written_and_opened(report, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("older")
    report.write_html(path)
    assert path.read_text(encoding="utf-8") == report.html()
    assert [*tmp_path.iterdir()] == [path]
    with pytest.raises(FileNotFoundError, match="no folder"):
        report.write_html(tmp_path / "absent" / "report.html")
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    report.open()
    assert opened[0].startswith("file:///")


def unjudged(X, y):
    """The ids of documents, and None for each query."""
    return [None if tag.startswith("query") else id_ for tag, id_ in zip(X.modality, y)]


def test_the_same_seed_gives_the_same_report(rows):
    X, y = rows[0], unjudged(*rows)
    first, again, other = (GapReport(X, y, random_state=seed).json() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_large_corpus_is_sampled_and_the_answers_stay(rows):
    X, y = make_mixed_modality(200, queries={"text": 2}, random_state=0)
    some = unjudged(X, y)
    answers = dict.fromkeys(y[-30:])
    some[-30:] = y[-30:]
    report = GapReport(X, some, max_rows=100)
    figures = json.loads(report.json())
    assert figures["data"]["n_documents"] == 200
    assert figures["data"]["n_queries"] == 400
    sample = figures["data"]["sample"]
    assert sample["n_queries"] == 300
    assert sample["n_judged"] == figures["ranking"]["n_judged"] == 30
    assert len(answers) <= sum(sample["documents"].values()) == sample["n_documents"] <= 100
    assert "a random draw of the others" in report.html()
    assert "a random draw of the others" in report.markdown()
    whole = GapReport(rows[0], unjudged(*rows), max_rows=None).json()
    assert json.loads(whole)["data"]["sample"] is None


def test_a_rare_modality_is_measured_in_all_documents():
    rows = np.random.default_rng(0).normal(size=(2040, 8))
    rows[2000:] += 1
    X = EmbeddingArray(rows, ["text"] * 2000 + ["image"] * 40)
    report = GapReport(X, max_rows=100)
    assert report.advice == "correct"
    figures = json.loads(report.json())
    assert figures["pairs"][0]["fewest_rows"] == 40
    assert figures["data"]["sample"]["documents"].get("image", 0) < 20


def test_the_default_is_advised_unless_another_is_clearly_better(figures):
    for chosen in (figures["methods"], figures["fusion_weight"]):
        rows = {row["name"]: row for row in chosen["rows"]}
        assert chosen["default"] in rows
        for row in rows.values():
            assert row["low"] <= row["mean"] <= row["high"]
        if chosen["advised"] == chosen["default"]:
            best = rows[chosen["best"]]
            assert chosen["best"] == chosen["default"] or best["difference_low"] <= 0
        else:
            assert rows[chosen["advised"]]["difference_low"] > 0


def test_the_code_of_the_report_runs_whichever_correction_is_advised(figures, rows):
    X, y = rows
    weight, asked = {"advised": "0.25"}, {"queries": {"query:text": 60}}
    codes = [
        code_of({"advised": name, "fusion_weight": weight, "data": asked}, None) for name in METHODS
    ]
    for code in (figures["code"], *codes):
        names = {"X": X, "y": y}
        exec(code, names)
        assert len(names["found"]) == 60
        assert code == figures["code"] or names["pipe"][-1].fusion_weight == 0.25


def test_the_stored_queries_are_those_of_the_search(figures, rows):
    X, y = rows
    names = {"X": X, "y": unjudged(X, y)}
    exec("from gapremoval import *\npipe = make_search_pipeline().fit(X, y)", names)
    queries = X[X.modality == "query:text"]
    found = search(names["pipe"], queries, 5)
    assert len(figures["queries"]) == 40
    for query in figures["queries"]:
        ids = [hit["id"] for hit in query["after"]]
        assert ids == found.ids[query["number"]].tolist()
        for hit in query["before"] + query["after"]:
            assert hit["is_right"] == (hit["id"] in query["right"])


def test_parts_of_documents_ask_where_there_are_no_queries():
    X, y = make_mixed_modality(120, queries={}, random_state=0)
    figures = json.loads(GapReport(X, y).json())
    assert figures["data"]["n_queries"] == 0
    assert "text part of 20 documents" in figures["data"]["stand_ins"]
    assert figures["ranking"]["n_judged"] == 20
    # What is left of these documents is an image.
    assert figures["ranking"]["n_answered"] == {"image": 20}


def test_queries_with_answers_of_several_modalities_are_counted_apart(rows):
    X, y = rows[0], [*rows[1]]
    texts, images = (set(rows[1][X.modality == name]) for name in ("text", "image"))
    text, image = min(texts - images), min(images - texts)
    for i in np.flatnonzero(X.modality == "query:text"):
        y[i] = [text, image] if i % 2 else text
    report = GapReport(X, y)
    ranking = json.loads(report.json())["ranking"]
    assert ranking["n_answered"] == {"text": 30, "several": 30}
    for way in ranking["ways"]:
        assert way["ndcg"].keys() == ranking["n_answered"].keys()
    assert "| several | 30 | 0" in report.markdown()


def test_texts_ask_where_no_document_has_several_parts():
    figures = json.loads(GapReport(same_cloud()).json())
    assert "20 text documents" in figures["data"]["stand_ins"]
    assert figures["ranking"]["n_judged"] == 0
    assert figures["methods"] is None


def test_documents_of_one_modality_are_not_corrected():
    X, y = make_mixed_modality(60, proportions={"image": 1}, random_state=0)
    report = GapReport(X, y)
    assert report.advice == "do not correct"
    assert "all documents are image" in report.html().lower()
    assert report.markdown()


@pytest.mark.parametrize("n_rows", [1, 2, 4, 8])
def test_of_few_rows_nothing_can_be_told(n_rows):
    values = np.random.default_rng(0).normal(size=(n_rows, 8))
    X = EmbeddingArray(values, (["text", "image"] * n_rows)[:n_rows])
    report = GapReport(X)
    assert report.advice == ("cannot tell" if n_rows > 1 else "do not correct")
    assert "There are no queries" in report.markdown()
    assert report.html()


def test_three_modalities_are_compared_two_by_two():
    X, y = make_mixed_modality(
        60, proportions={"text": 1, "image": 1, "audio": 1}, n_features=128, random_state=0
    )
    report = GapReport(X, y)
    pairs = json.loads(report.json())["pairs"]
    assert [pair["between"] for pair in pairs] == [
        ["audio", "image"],
        ["audio", "text"],
        ["image", "text"],
    ]
    assert report.html()


@settings(max_examples=12)
@given(st.data())
def test_whatever_rows_there_are_they_make_a_report_or_a_clear_error(data):
    n_rows = data.draw(st.integers(1, 40))
    names = ["text", "image", "<b>|x</b>", "query:text", "query:image+text"]
    modality = data.draw(st.lists(st.sampled_from(names), min_size=n_rows, max_size=n_rows))
    random = np.random.default_rng(data.draw(st.integers(0, 9)))
    values = random.normal(size=(n_rows, data.draw(st.integers(1, 5))))
    values[random.random(n_rows) < data.draw(st.sampled_from([0, 0.3]))] = 0
    values = np.ones_like(values) if data.draw(st.booleans()) else values
    ids = random.integers(0, n_rows, n_rows).tolist()
    known = [x for x, name in zip(ids, modality) if not name.startswith("query")]
    y = [
        x if not name.startswith("query") else random.choice(known).item() if known else None
        for x, name in zip(ids, modality)
    ]
    X = EmbeddingArray(values, modality)
    if not known:
        with pytest.raises(ValueError, match="no document"):
            GapReport(X, y)
        return
    report = GapReport(X, y)
    figures = json.loads(report.json())
    assert figures["verdict"]["headline"] in report.html()
    assert figures["verdict"]["headline"] in report.markdown()
    assert report.advice in ("correct", "do not correct", "cannot tell")


def test_warnings_of_fits_are_on_the_page_and_not_raised():
    X = EmbeddingArray(np.random.default_rng(0).normal(size=(24, 8)), ["text"] * 20 + ["image"] * 4)
    X = EmbeddingArray.concatenate([X, EmbeddingArray(X.values[:2], "query:text")])
    report = GapReport(X, [*range(24), None, None])
    notes = json.loads(report.json())["notes"]
    assert notes
    assert notes[0] in Page(report.html()).text


class Lengths:
    """An encoder of texts and pictures that needs no network."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        items = [item.item if isinstance(item, Query) else item for item in X]
        is_text = [isinstance(item, str) for item in items]
        seeds = [len(x) if text else x.getpixel((0, 0))[0] for x, text in zip(items, is_text)]
        values = [np.random.default_rng(s).normal(size=8) + 2 * t for s, t in zip(seeds, is_text)]
        tags = [
            "query:text" if isinstance(item, Query) else "text" if text else "image"
            for item, text in zip(X, is_text)
        ]
        return EmbeddingArray(values, tags)

    def get_params(self, deep=True):
        return {}

    def __repr__(self):
        return "Lengths()"


def test_items_are_encoded_and_shown():
    texts = ["x" * i for i in range(1, 31)]
    pictures = [Image.new("RGB", (40, 40), (i, 0, 0)) for i in range(1, 31)]
    items = [*texts, *pictures, Query("y" * 5), Query("y" * 6)]
    ids = [*range(30), *range(100, 130), 100, None]
    report = GapReport(items, ids, encoder=Lengths())
    assert report.advice == "correct"
    page = Page(report.html())
    assert "y" * 5 in page.text
    assert "x" * 30 in page.text
    assert page.all("image")
    assert "Lengths()" in json.loads(report.json())["code"]


def test_a_plain_array_takes_its_modality(rows):
    X, y = rows[0], unjudged(*rows)
    tagged, plain = GapReport(X, y), GapReport(X.values, y, modality=X.modality)
    tagged, plain = json.loads(tagged.json()), json.loads(plain.json())
    assert "X = EmbeddingArray(X, modality)" in plain.pop("code")
    assert "EmbeddingArray" not in tagged.pop("code")
    assert tagged == plain


def test_what_cannot_be_reported_is_refused(rows):
    X, y = rows
    bare, queries = X.values, X[X.modality == "query:text"]
    broken = X.values.copy()
    broken[3] = np.nan
    for wrong, message in [
        (lambda: GapReport(bare, y), "modality of the rows is not known"),
        (lambda: GapReport(queries), "no document among the rows"),
        (lambda: GapReport(EmbeddingArray(broken, X.modality), y), "NaN"),
        (lambda: GapReport(X, y[:-1]), "entries for"),
        (lambda: GapReport(X, [*y[:-1], "absent"]), "unknown document: 'absent'"),
        (lambda: GapReport(X, y, questions=["one"]), "1 questions and 60 query rows"),
        (lambda: GapReport(["a text"]), "give encoder="),
        (lambda: GapReport(["a"], encoder=Lengths(), contents={}), "leave out"),
        (lambda: GapReport(X, y, max_rows=3), "max_rows == 3, must be >= 100"),
        (lambda: GapReport(X, y, random_state=-1), "random_state == -1, must be >= 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
    with pytest.raises(TypeError, match="contents must be a dict"):
        GapReport(X, y, contents=["a"])


def test_the_code_runs_as_the_report_was_made(rows):
    X, y = rows
    documents = X[X.modality != "query:text"]
    for names in ({"X": X.values, "y": y, "modality": X.modality}, {"X": documents}):
        report = GapReport(**names)
        exec(json.loads(report.json())["code"], names)
        assert set(names["found"].modalities.ravel()) <= {"text", "image", "image+text"}


def test_an_encoder_whose_repr_is_no_code_is_left_to_the_user():
    class Table(Lengths):
        def __repr__(self):
            return "Table(rows=array([1., 2.]))"

    items = ["x" * i for i in range(1, 31)]
    code = json.loads(GapReport(items, encoder=Table()).json())["code"]
    assert "array" not in code
    assert "(encoder" in code


def test_contents_by_numpy_ids_are_shown():
    X, y = make_mixed_modality(40, proportions={"text": 1, "image": 1}, random_state=0)
    ids = {x: np.int64(i) for i, x in enumerate(dict.fromkeys(y))}
    contents = {number: f"text of {x}" for x, number in ids.items()}
    page = GapReport(X, [ids[x] for x in y], contents=contents).html()
    assert sum(f"text of {x}" in page for x in ids) > 30


def test_queries_have_the_numbers_that_they_had_before_some_were_drawn():
    X, y = make_mixed_modality(200, queries={"text": 2}, random_state=0)
    some = unjudged(X, y)
    questions = [f"question number {i}" for i in range(400)]
    report = GapReport(X, some, questions=questions)
    for query in json.loads(report.json())["queries"]:
        assert f"question number {query['number']}" in report.html()
    assert max(q["number"] for q in json.loads(report.json())["queries"]) >= 300


def test_many_answers_of_a_query_do_not_keep_the_whole_corpus():
    rng = np.random.default_rng(0)
    X = EmbeddingArray(rng.normal(size=(2040, 8)), ["text", "image"] * 1000 + ["query:text"] * 40)
    wanted = [rng.choice(2000, 500, replace=False).tolist() for _ in range(40)]
    report = GapReport(X, [*range(2000), *wanted], max_rows=500)
    figures = json.loads(report.json())
    assert figures["data"]["sample"]["n_documents"] <= 500
    assert len(report.html()) < 1_000_000
    for query in figures["queries"]:
        # What answers is right, whether it stayed for that or was drawn.
        for hit in query["before"] + query["after"]:
            assert hit["is_right"] == (hit["id"] in wanted[query["number"]])
        assert len(query["right"]) >= 10


def test_a_modality_that_is_shifted_is_found_among_many():
    rows = np.random.default_rng(0).normal(size=(360, 8))
    names = np.repeat([*"abcdef"], 60)
    rows[names == "f"] += 1
    report = GapReport(EmbeddingArray(rows, names))
    assert report.advice == "correct"
    assert {pair["between"][1] for pair in json.loads(report.json())["pairs"]} == {*"bcdef"}


def test_without_a_gap_the_headline_says_what_the_queries_find_more_with():
    rng = np.random.default_rng(0)
    meaning = rng.normal(size=(200, 16))
    queries = 0.6 * meaning + rng.normal(size=16) * 3 + 0.3 * rng.normal(size=(200, 16))
    X = EmbeddingArray.concatenate({"text": meaning, "query:text": queries})
    report = GapReport(X, [*range(200)] * 2)
    figures = json.loads(report.json())
    assert figures["advised"] != "raw"
    assert report.advice == "do not correct"  # there is no gap between documents of one modality
    assert f"though your queries find more with “{figures['advised']}”" in repr(report)


def test_documents_that_all_have_both_parts_are_not_said_to_be_ranked_by_modality():
    X, y = make_mixed_modality(80, proportions={"image+text": 1}, random_state=0)
    summary = " ".join(json.loads(GapReport(X, y).json())["verdict"]["summary"])
    assert "make up" not in summary
    assert "have the same parts" in summary
    without = X.modality != "query:text"
    trial = GapReport(X[without], y[without])
    assert "A trial, and no measure of your own queries" in trial.markdown()
    assert "of the corpus" not in trial.markdown()


def test_the_verdict_tells_what_the_correction_gains_and_costs(figures):
    summary = " ".join(figures["verdict"]["summary"])
    raw, _, best = figures["ranking"]["ways"]
    for way in figures["ranking"]["ways"]:
        assert f"{way['ndcg_all']:.3f}" in summary
    for name, value in raw["ndcg"].items():
        lost = value - best["ndcg"][name] > 0.005
        assert lost == (f"The price: where it is {name}, it falls" in summary)

"""The view of an EmbeddingArray in a notebook."""

import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from browser import axe_faults
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import EmbeddingArray, ModalityGapRemover

HOSTILE = ["<img src=x onerror=alert(1)>", "</table><script>alert(1)</script>"]
names = st.text(min_size=1, max_size=12).filter(lambda x: x.strip() and not set(x) & set(":+\0"))
ROOM = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>t</title></head>
<body style="{}"><main><h1>A notebook</h1>{}</main></body></html>"""


@pytest.fixture(autouse=True)
def _templates():
    pytest.importorskip("jinja2")


class View(HTMLParser):
    """The tags of a view, its caption, and the cells of each line of its table."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.lines, self.caption = [], [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, attributes))
        if tag == "tr":
            self.lines.append([])
        if tag in ("td", "th"):
            self.lines[-1].append("")

    def handle_data(self, data):
        if self.tags[-1][0] in ("td", "th"):
            self.lines[-1][-1] += data.strip()
        if not self.lines and self.tags[-1][0] in ("p", "b"):
            self.caption += data.strip("\n")


@given(st.lists(st.sampled_from(["text", "image", "query:text", "audio"]), min_size=1), st.data())
def test_there_is_a_line_for_each_modality_with_its_rows_and_the_range_of_their_lengths(
    modality, data
):
    scale = np.array(
        data.draw(st.lists(st.floats(0.5, 8), min_size=len(modality), max_size=len(modality)))
    )
    X = EmbeddingArray(scale[:, None] * np.eye(4)[np.arange(len(modality)) % 4], modality)
    head, *lines = View(X._repr_html_()).lines
    assert head == ["modality", "rows", "length of a row"]
    assert [(name, int(n)) for name, n, _ in lines] == [
        (name, modality.count(name)) for name in dict.fromkeys(modality)
    ]
    for name, _, told in lines:
        lengths = scale[X.modality == name]
        wanted = sorted({f"{lengths.min():.4g}", f"{lengths.max():.4g}"}, key=float)
        assert told == " to ".join(wanted)


def test_the_caption_tells_shape_dtype_library_and_encoder():
    X = EmbeddingArray(np.ones((1200, 3), dtype=np.float32), "text", encoder="mine <b> @ 12")
    assert View(X._repr_html_()).caption == (
        "EmbeddingArray, 1,200 rows x 3 · float32 · numpy · encoder 'mine <b> @ 12'"
    )
    removed = ModalityGapRemover(strength=0.5).fit_transform(X)
    assert View(removed._repr_html_()).caption.endswith("with the gap removed")
    assert View(X[:1]._repr_html_()).caption.startswith("EmbeddingArray, 1 row x 3")


@given(st.lists(names | st.sampled_from(HOSTILE), min_size=1, unique=True, max_size=6))
def test_whatever_a_modality_is_called_it_stays_text(drawn):
    page = EmbeddingArray(np.ones((len(drawn), 2)), drawn)._repr_html_()
    page.encode()  # a notebook is saved as UTF-8
    plain = EmbeddingArray(np.ones((len(drawn), 2)), [f"m{i}" for i in range(len(drawn))])
    assert View(page).tags == View(plain._repr_html_()).tags
    for name in drawn:
        if name in HOSTILE:
            assert any(line[0] == name for line in View(page).lines)


@pytest.mark.parametrize("encoder", [*HOSTILE, "\"'&lt;\x1b\ud800"])
def test_the_name_of_an_encoder_stays_text(encoder):
    page = EmbeddingArray(np.eye(2), "text", encoder=encoder)._repr_html_()
    page.encode()
    plain = EmbeddingArray(np.eye(2), "text", encoder="e")._repr_html_()
    assert View(page).tags == View(plain).tags


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.zeros((2, 3)), "0"),
        (np.array([[3, 4], [6, 8]]), "5 to 10"),
        (np.array([[True, False]]), "1"),
        (np.array([[np.nan, 1.0], [1, 0]]), "nan"),
        (np.array([[np.inf, 1.0], [1, 0]]), "1 to inf"),
        (np.full((1, 4), 1e200), "2e+200"),
        (np.array([[3, 4]], dtype=np.float16), "5"),
    ],
)
def test_lengths_of_any_numbers_are_told(values, told):
    assert View(EmbeddingArray(values, "text")._repr_html_()).lines[1][2] == told


def test_an_empty_array_has_an_empty_table():
    assert View(EmbeddingArray(np.empty((0, 3)), [])._repr_html_()).lines == [
        ["modality", "rows", "length of a row"]
    ]


def test_of_many_rows_some_are_measured_and_of_many_modalities_some_are_shown():
    values = np.ones((5000, 2), dtype=np.float32)
    values[1] = 9  # between two rows that are measured
    page = EmbeddingArray(values, "text")._repr_html_()
    assert View(page).lines[1] == ["text", "5,000", "1.414"]
    assert "Lengths are those of 1,000 rows of a modality at most." in page
    many = EmbeddingArray(np.ones((60, 2)), [f"m{i}" for i in range(60)])._repr_html_()
    assert len(View(many).lines) == 51
    assert "and 10 more modalities" in many
    assert "Lengths are those" not in many


def test_nothing_of_a_dask_array_is_computed():
    dask = pytest.importorskip("dask.array")

    def fail(block):
        raise AssertionError("computed")

    lazy = dask.ones((1000, 8), chunks=(100, 8)).map_blocks(fail, dtype=float, meta=np.ones((0, 0)))
    view = View(EmbeddingArray(lazy, "text")._repr_html_())
    assert view.lines[1] == ["text", "1,000", "not computed"]
    assert "1,000 rows x 8 · float64 · dask" in view.caption


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_tensors_are_told_as_arrays_are(dtype):
    torch = pytest.importorskip("torch")
    values = torch.tensor([[3.0, 4.0], [0.0, 1.0]], dtype=getattr(torch, dtype), requires_grad=True)
    view = View(EmbeddingArray(values, ["text", "image"])._repr_html_())
    assert view.lines[1:] == [["text", "1", "5"], ["image", "1", "1"]]
    assert f"2 rows x 2 · {dtype} · torch" in view.caption


def test_without_jinja2_a_notebook_shows_the_text(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert EmbeddingArray(np.eye(2), "text")._repr_html_() is None


@pytest.mark.parametrize(
    "style", ["color: #111; background: #fff", "color: #ddd; background: #111"]
)
def test_a_browser_shows_the_view_in_the_colors_of_the_notebook(open_page, style):
    view = EmbeddingArray(np.eye(2), ["text", HOSTILE[0]], encoder=HOSTILE[1])._repr_html_()
    page = open_page(ROOM.format(style, view))
    assert page.locator("tbody th").all_inner_texts() == ["text", HOSTILE[0]]
    assert HOSTILE[1] in page.locator("p").first.inner_text()
    assert axe_faults(page) == []

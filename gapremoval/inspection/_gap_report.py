"""GapReport: is there a modality gap, what does it do, and what is best done about it."""

import base64
import hashlib
import html
import json
import warnings
import webbrowser
from functools import cached_property
from numbers import Integral
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from sklearn.utils import check_scalar

from .._files import replacing
from .._html import html_templates, writable
from .._optional import import_optional
from .._version import __version__
from ._colors import modality_colors
from ._report_choice import choice_facts, code_of
from ._report_data import draw_documents, draw_queries, read_data, with_stand_ins
from ._report_gap import gap_facts
from ._report_items import shown_items
from ._report_search import search_facts
from ._report_verdict import verdict
from ._report_words import escape_markdown, number, percent


class GapReport:
    """Report on the modality gap of a corpus, for people who have not read the paper.

    Says whether there is a gap and whether to correct it, how large it is, what it does to
    search, what a correction changes and leaves, how sure the probabilities are, which
    correction and fusion weight rank best on these data, and the code to get it. In a notebook
    it shows itself.

    Parameters
    ----------
    X : EmbeddingArray or array of shape (n_rows, n_features), or list of items
        The rows of documents and queries, as for the ``fit`` of a retriever; with `encoder`,
        raw items: texts (str), pictures (``Path``, PIL image, uint8 array) and `Query` objects
        around these.
    y : sequence of length n_rows, default=None
        The document id of each row, and the relevance of queries (an id, a collection of ids, a
        dict id -> gain, or None). By default the ids are row numbers, and no query is judged.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row, where `X` does not carry it.
    contents : dict, default=None
        The item or the list of items of each document by its id, which are shown. With `encoder`
        they are those of `X`.
    questions : sequence of items, default=None
        The raw item of each query row, in their order.
    encoder : transformer, default=None
        Encodes the items of `X`, such as `CLIPEncoder`.
    title : str, default="Modality gap report"
        Title of the page.
    random_state : int, default=0
        Seed of the samples.
    max_rows : int or None, default=5000
        Documents are sampled to about this number of rows, and the report says so. None takes
        all of them.

    Attributes
    ----------
    advice : str
        ``"correct"``, ``"do not correct"`` or ``"cannot tell"``.

    Raises
    ------
    ValueError
        If there is no document, the modality of the rows is unknown, a row holds NaN, or an
        answer is not among the documents.
    TypeError
        If `contents` is not a dict, or `X` is a Dask array.
    ImportError
        If jinja2 or pandas is not installed (extra ``report``), or if there are pictures to be
        shown and Pillow is not installed (extra ``clip``).

    See Also
    --------
    results_page : Shows the results of searches.
    gapremoval.metrics.modality_gap_test : The test behind the advice.

    Examples
    --------
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.inspection import GapReport
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> report = GapReport(X, y)
    >>> report
    GapReport(Correct: there is a modality gap)
    >>> report.html()[:15]
    '<!DOCTYPE html>'

    Of a folder of photos, and with notes about them:
    ``GapReport([*Path("photos").glob("*.jpg"), *notes], encoder=CLIPEncoder()).open()``.
    """

    def __init__(
        self,
        X,
        y=None,
        *,
        modality=None,
        contents=None,
        questions=None,
        encoder=None,
        title="Modality gap report",
        random_state=0,
        max_rows=5000,
    ):
        for module in ("jinja2", "pandas"):
            import_optional(module, extra="report", purpose="GapReport")
        if max_rows is not None:
            check_scalar(max_rows, "max_rows", Integral, min_val=100)
        check_scalar(random_state, "random_state", Integral, min_val=0)
        data = read_data(X, y, modality, contents, questions, encoder)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self._facts, self._data, self._points = _compute(data, random_state, max_rows)
            given = {"is_tagged": modality is None, "has_ids": y is not None}
            self._facts["code"] = code_of(self._facts, encoder, **given)
        notes = list(dict.fromkeys(str(warning.message) for warning in caught))
        facts = {"title": str(title), "version": __version__} | self._facts | {"notes": notes}
        self._facts = _known(facts)

    @property
    def advice(self):
        """What to do about the gap: correct, do not correct, or cannot tell."""
        return self._facts["verdict"]["advice"]

    def html(self):
        """The report as one HTML page that needs nothing else.

        Returns
        -------
        str
        """
        return self._page

    def html_snippet(self):
        """The report as a part of another page, such as a notebook.

        Returns
        -------
        str
            A frame with a page of its own, which shares neither styles nor names with the page
            around it. Scripts give it its height.
        """
        title = html.escape(writable(self._facts["title"]))
        return (
            f'<iframe title="{title}" srcdoc="{html.escape(self._page)}" '
            'style="width: 100%; height: 48rem; border: 0"></iframe>'
        )

    def json(self):
        """All figures of the report.

        Returns
        -------
        str
            A JSON object. What is unknown is null.
        """
        return json.dumps(self._facts, allow_nan=False)

    def markdown(self):
        """The report as Markdown, with tables in place of figures.

        Returns
        -------
        str
        """
        return self._render("gap_report.md", md=escape_markdown)

    def write_html(self, path):
        """Write the page to a file, completely or not at all.

        Parameters
        ----------
        path : str or Path
            Name of the file; an older one is replaced.
        """
        with replacing(path) as file:
            file.write(self._page.encode())

    def open(self):
        """Open the page in a browser, from a file in the folder for temporary files."""
        path = Path(mkdtemp(prefix="gapremoval-")) / "report.html"
        self.write_html(path)
        webbrowser.open(path.as_uri())

    def __repr__(self):
        return f"GapReport({self._facts['verdict']['headline']})"

    def _repr_html_(self):
        return self.html_snippet()

    @property
    def _sections(self):
        """The sections of the page: their titles by id."""
        titles = {
            "gap": "Is there a gap?",
            "size": "How bad is it?",
            "search": "What it does to my search",
            "changes": "What the correction changes",
            "left": "What is left",
            "probabilities": "How sure are the probabilities?",
            "best": "What is best for my data?",
            "code": "The code",
            "queries": "Try a query",
            "notes": "Warnings on the way",
        }
        is_empty = {name for name in ("queries", "notes") if not self._facts[name]}
        return {id_: title for id_, title in titles.items() if id_ not in is_empty}

    @cached_property
    def _page(self):
        items = shown_items(self._facts, self._data, self._points)
        assets = {name: self._source(f"gap_report.{name}") for name in ("css", "js")}
        assets["css"] = self._source("page.css") + assets["css"]
        hashes = {name: _hash(text) for name, text in assets.items()}
        colors = modality_colors(
            [*self._facts["map"]["modality"], *self._facts["data"]["documents"]]
        )
        return self._render(
            "gap_report.html", items=items, colors=colors, assets=assets, hashes=hashes
        )

    def _source(self, name):
        environment = html_templates("gapremoval.inspection")
        return environment.loader.get_source(environment, name)[0]

    def _render(self, name, **more):
        template = html_templates("gapremoval.inspection").get_template(name)
        return template.render(
            facts=self._facts, sections=self._sections, percent=percent, number=number, **more
        )


def _compute(data, random_state, max_rows):
    """All figures, the data that were searched, and the rows that are on the map."""
    random = np.random.default_rng(random_state)
    facts = {"data": {"n_rows": len(data.ids) + len(data.queries)} | _counts(data)}
    facts["data"]["n_features"] = data.documents.shape[1]
    asked = draw_queries(data, random)
    drawn = draw_documents(asked, max_rows, random)
    is_sampled = len(asked.queries) < len(data.queries) or len(drawn.ids) < len(data.ids)
    facts["data"]["sample"] = _counts(drawn) if is_sampled else None
    # Of all documents, since the sample may hold few of a rare modality.
    gap, points = gap_facts(asked, random_state)
    facts |= gap
    searched = with_stand_ins(drawn, random)
    facts["data"]["stand_ins"] = searched.stand_ins
    nothing = dict.fromkeys(("ranking", "cosines", "probabilities"), None) | {"queries": []}
    facts |= search_facts(searched, random_state) if len(searched.queries) else nothing
    has_gap = any(pair["should_correct"] for pair in facts["pairs"])
    facts |= choice_facts(searched, has_gap, random_state)
    facts["verdict"] = verdict(facts)
    return facts, searched, (asked, points)


def _counts(data):
    documents = [*data.document_modality.values()]
    queries = data.queries.modality.tolist()
    return {
        "n_documents": len(documents),
        "documents": {name: documents.count(name) for name in sorted(set(documents))},
        "n_queries": len(queries),
        "queries": {name: queries.count(name) for name in sorted(set(queries))},
        "n_judged": len(data.judged),
    }


def _known(facts):
    """The same, with None in place of NaN and infinity, at any depth."""
    if isinstance(facts, dict):
        return {name: _known(value) for name, value in facts.items()}
    if isinstance(facts, list):
        return [_known(value) for value in facts]
    return None if isinstance(facts, float) and not np.isfinite(facts) else facts


def _hash(text):
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

"""results_html: the view of a SearchResult in a notebook."""

from .._html import html_templates
from ..contents._pictures import quiet_pillow
from ..contents._show_item import show_document

MOST_QUERIES, MOST_DOCUMENTS = 10, 20  # shown; the documents are those of one query
MOST_PARTS, EDGE = 60, 64  # texts and thumbnails in all; pixels


def results_html(found):
    """Show the first documents of the first queries as a table, with thumbnails where there are.

    No more than a few dozen files are read; what cannot be read becomes a note.

    Parameters
    ----------
    found : SearchResult

    Returns
    -------
    str
        A piece of HTML whose colors are those of the notebook.

    Raises
    ------
    ImportError
        If jinja2 is not installed, or if there are contents with pictures and Pillow is not.
    """
    template = html_templates("gapremoval.retrieval").get_template("search_result.html")
    n_parts, queries = 0, []
    with quiet_pillow():
        for number, one in enumerate(found[:MOST_QUERIES]):
            records, cards = one.to_records(), []
            for record, id_ in zip(records[:MOST_DOCUMENTS], one.ids[0]):
                card = record | {"id": str(id_), "parts": []}
                if n_parts < MOST_PARTS:
                    card |= show_document(found.contents or {}, id_, edge=EDGE)
                n_parts += len(card["parts"])
                cards.append(card)
            # Rows of queries count from 0, as in found[0], the repr and to_frame.
            title = [f"Query row {number}"] if len(found) > 1 else []
            told = " · ".join(title + one._facts())
            queries.append({"told": told, "cards": cards, "n_more": len(records) - len(cards)})
    cards = [card for query in queries for card in query["cards"]]
    return template.render(
        queries=queries,
        has_parts=any(card["parts"] for card in cards),
        has_odds=any(card["probability"] is not None for card in cards),
        n_more=max(len(found) - MOST_QUERIES, 0),
    )

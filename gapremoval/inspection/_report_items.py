"""The pictures and texts of a report, each picture once, and few enough to keep it small."""

import numpy as np

from .._items import contents_of, is_picture, listed_items
from ..contents._pictures import quiet_pillow
from ..contents._show_item import show_document, show_item

THUMBNAIL = 112  # pixels, of the longer edge
MOST_PICTURES = 250
MOST_LETTERS = 300  # of a text


def shown_items(facts, data, points):
    """What the page shows of documents and queries.

    Parameters
    ----------
    facts : dict
        All figures.
    data : ReportData
        What was searched.
    points : tuple of (ReportData, list of int)
        What is on the map: rows of documents, followed by those of queries.

    Returns
    -------
    dict
        ``pictures`` (a list of what `show_item` returns), ``documents`` (the parts of documents
        by id), ``queries`` (the parts of the stored queries), ``points`` (those of the map, each
        with ``said`` and ``picture``) and ``is_capped``. A part has ``kind``, ``text`` (of a
        picture, its name) and ``picture``, its number in ``pictures`` or None.
    """
    store = _Store(data)
    with quiet_pillow():
        at = {number: i for i, number in enumerate(data.numbers.tolist())}
        queries = [store.query(data, at[query["number"]]) for query in facts["queries"]]
        found = [hit for query in facts["queries"] for hit in query["before"] + query["after"]]
        return {
            "documents": {hit["id"]: store.document(hit["id"]) for hit in found},
            "queries": queries,
            "points": [store.point(points[0], row) for row in points[1]],
            "pictures": store.pictures,
            "is_capped": store.is_full,
        }


def plain_id(id_):
    """An id as JSON has it."""
    id_ = id_.item() if isinstance(id_, np.generic) else id_
    return id_ if isinstance(id_, int | float | str) else str(id_)


class _Store:
    """Parts of documents and queries as they are shown, each made once."""

    def __init__(self, data):
        self.contents = {plain_id(id_): items for id_, items in data.contents.items()}
        self.pictures, self.known = [], {}

    @property
    def is_full(self):
        return len(self.pictures) >= MOST_PICTURES

    def document(self, id_):
        """The parts of a document; only its texts once there are enough pictures."""
        if id_ not in self.known:
            contents = self.contents
            if self.is_full:
                contents = {id_: self._with_room(listed_items(contents.get(id_, ())))}
            shown = show_document(contents, id_, edge=THUMBNAIL)["parts"]
            self.known[id_] = [self._part(part) for part in shown]
        return self.known[id_]

    def query(self, data, at):
        """The parts of a query."""
        number = int(data.numbers[at])
        if ("query", number) not in self.known:
            contents = contents_of(data.questions[at]) if data.questions else ()
            contents = self._with_room(contents)
            name = f"Picture of query {number + 1}"
            shown = [show_item(content, name=name, edge=THUMBNAIL) for content in contents]
            self.known["query", number] = [self._part(part) for part in shown]
        return self.known["query", number]

    def _with_room(self, contents):
        """The contents without pictures, once there are enough of them."""
        return [x for x in contents if not (self.is_full and is_picture(x))]

    def _part(self, shown):
        part = {"kind": shown["kind"], "text": shown.get("text", shown["name"])[:MOST_LETTERS]}
        if shown["kind"] == "note":
            part["text"] = f"{shown['name']}: {shown['reason']}"
        if shown["kind"] == "picture":
            self.pictures.append(shown)
            return part | {"picture": len(self.pictures) - 1}
        return part | {"picture": None}

    def point(self, data, row):
        """A row on the map in words, and the number of its picture, if it has one."""
        n = len(data.ids)
        if row < n:
            id_ = plain_id(data.ids.tolist()[row])
            name, modality = f"document {id_}"[:80], str(data.documents.modality[row])
            is_image, parts = modality == "image", self.document(id_)
            parts = [part for part in parts if (part["kind"] == "picture") == is_image] or parts
        else:
            name, parts = f"query {data.numbers[row - n] + 1}", self.query(data, row - n)
            modality = str(data.queries.modality[row - n]).split(":")[-1]
        part = parts[0] if parts else {"kind": "", "picture": None}
        said = f": {part['text'][:160]}" if part["kind"] == "text" else ""
        return {"said": f"{name} ({modality}){said}", "picture": part["picture"]}

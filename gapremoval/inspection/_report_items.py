"""The pictures and texts of a report, each picture once, and few enough to keep it small."""

from .._items import contents_of, is_item, is_picture
from ..contents._pictures import quiet_pillow
from ..contents._show_item import show_item

THUMBNAIL = 112  # pixels, of the longer edge
MOST_PICTURES = 300
MOST_PARTS = 3  # shown of a document
MOST_CHARACTERS = 300  # of a text


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
        by id), ``queries`` (the parts of the stored queries) and ``points`` (those of the map).
        A part has ``kind``, and ``text``, or ``picture``, the number of a picture.
    """
    store = _Store(data.contents)
    with quiet_pillow():
        documents, queries = {}, []
        for query in facts["queries"]:
            question = data.questions[query["number"]] if data.questions else None
            queries.append(store.parts(f"query {query['number']}", question))
            for hit in query["before"] + query["after"]:
                documents[hit["id"]] = store.document(hit["id"])
            for id_ in query["right"][:1]:
                documents[id_] = store.document(id_)
        return {
            "documents": documents,
            "queries": queries,
            "points": [store.point(points[0], row) for row in points[1]],
            "pictures": store.pictures,
            "is_capped": store.is_capped,
        }


class _Store:
    def __init__(self, contents):
        # Ids that are no JSON are known by their text.
        self.contents = {self._key(id_): items for id_, items in contents.items()}
        self.pictures, self.known, self.is_capped = [], {}, False

    @staticmethod
    def _key(id_):
        return id_ if isinstance(id_, int | float | str) else str(id_)

    def document(self, id_):
        return self.parts(f"document {id_}", self.contents.get(id_))

    def parts(self, name, items):
        """The parts of an item or of items."""
        if items is None:
            return []
        items = [items] if is_item(items) or not hasattr(items, "__iter__") else list(items)
        contents = [content for item in items for content in contents_of(item)]
        return [self._part(name, i, content) for i, content in enumerate(contents[:MOST_PARTS])]

    def _part(self, name, i, content):
        if not is_picture(content):
            shown = show_item(content, name=name, edge=THUMBNAIL)
            return {"kind": "text", "text": shown["text"][:MOST_CHARACTERS]}
        key = (name, i)
        if key not in self.known:
            if len(self.pictures) >= MOST_PICTURES:
                self.is_capped = True
                return {"kind": "note", "text": f"a picture of {name}"}
            shown = show_item(content, name=f"picture of {name}", edge=THUMBNAIL)
            if shown["kind"] == "note":
                return {"kind": "note", "text": f"{shown['name']}: {shown['reason']}"}
            self.known[key] = {
                "kind": "picture", "picture": len(self.pictures), "text": shown["name"],
            }  # fmt: skip
            self.pictures.append(shown)
        return self.known[key]

    def point(self, data, row):
        """A row on the map in words, and the number of its picture, if it has one."""
        n = len(data.ids)
        if row >= n:
            number = row - n
            name = f"query {number + 1}"
            modality = str(data.queries.modality[number]).split(":")[-1]
            parts = self.parts(f"query {number}", data.questions and data.questions[number])
        else:
            id_ = self._key(data.ids.tolist()[row])
            name, modality = str(id_)[:80], str(data.documents.modality[row])
            parts = self.document(id_)
            is_image = modality == "image"
            parts = [x for x in parts if (x["kind"] == "picture") == is_image] or parts
        part = parts[0] if parts else {"kind": "none"}
        said = f": {part['text'][:160]}" if part["kind"] == "text" else ""
        return {"said": f"{name} ({modality}){said}", "picture": part.get("picture")}

"""The files that benchmarks of retrieval have in common: JSON lines, and qrels as a table."""

import json
from typing import NamedTuple

from .._warnings import shown, warn

POINTER = b"version https://git-lfs"


class Record(NamedTuple):
    """A query or a document as it stands in a file.

    Attributes
    ----------
    id : str
    fields : dict
        All its fields.
    place : str
        The file and the line, for messages.
    """

    id: str
    fields: dict
    place: str


def read_jsonl(path, id_field):
    """Read a file with one JSON object a line.

    Parameters
    ----------
    path : Path
        The file, in UTF-8. Blank lines are skipped.
    id_field : str
        The field that holds the id, a string or an integer.

    Returns
    -------
    list of Record

    Raises
    ------
    ValueError
        If a line is not a JSON object or has no id, or an id comes twice; the message names the
        file and the line.
    """
    records = []
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                place = f"{path}, line {number}"
                fields = _parse(line, place)
                records.append(Record(check_id(fields, id_field, place), fields, place))
    return check_unique(records)


def is_pointer(file):
    """Whether a file is a Git LFS pointer in place of its content."""
    with open(file, "rb") as stream:
        return stream.read(len(POINTER)) == POINTER


def check_content(file):
    """Raise if a file is absent, or a pointer in place of its content."""
    if is_pointer(file):
        raise ValueError(f"{file} is a Git LFS pointer. `git lfs pull` gets the file.")


def _parse(line, place):
    if line.startswith(POINTER):
        raise ValueError(f"{place}: this is a Git LFS pointer. `git lfs pull` gets the file.")
    try:
        fields = json.loads(line)
    except ValueError as error:  # text that is not UTF-8 too
        raise ValueError(
            f"{place} is not JSON: {error}. Where the file ends there, its download was cut off."
        ) from error
    if not isinstance(fields, dict):
        raise ValueError(f"{place} must be a JSON object; got {str(fields)[:60]}")
    return fields


def check_id(fields, id_field, place):
    """The id of a record, as a str."""
    value = fields.get(id_field)
    if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
        raise ValueError(
            f"{place} has no id: the field {id_field!r} must be a string or an integer; got "
            f"{value!r}. The fields are {shown([*fields])}."
        )
    return str(value)


def check_unique(records):
    """The records, if no id comes twice."""
    places = {}
    for record in records:
        if record.id in places:
            raise ValueError(
                f"{record.place}: the id {record.id!r} comes a second time. It stands in "
                f"{places[record.id].rpartition(', ')[2]} already; remove one of the two."
            )
        places[record.id] = record.place
    return records


def read_qrels(path, query_ids, document_ids):
    """Read the relevance of queries from a table of query, document and gain.

    Parameters
    ----------
    path : Path
        The file: three columns that are separated by tabs; a first line with names is skipped.
    query_ids, document_ids : collection of str
        The queries and documents that exist.

    Returns
    -------
    dict of str to dict of str to int
        For each query that has one, its documents and their gains.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line does not have three columns, a gain is not an integer, a document has two
        different gains for one query, or no line names a query and a document that exist.

    Warns
    -----
    UserWarning
        If lines were dropped, because their query or document does not exist.
    """
    check_content(path)
    query_ids, document_ids = set(query_ids), set(document_ids)
    relevance, absent, n_lines = {}, [], 0
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            place, cells = f"{path}, line {number}", line.rstrip("\r\n").split("\t")
            if not line.strip():
                continue
            if len(cells) != 3:
                raise ValueError(
                    f"{place} must have three columns that are separated by tabs (the id of a "
                    f"query, the id of a document, a gain); got {line.strip()[:80]!r}"
                )
            query, document, gain = cells
            if not gain.strip().removeprefix("-").isdecimal():
                if number == 1 and query not in query_ids:  # the names of the columns
                    continue
                raise ValueError(f"{place}: the gain must be an integer; got {gain!r}")
            n_lines += 1
            if query not in query_ids or document not in document_ids:
                absent.append(document if query in query_ids else query)
                continue
            if relevance.setdefault(query, {}).setdefault(document, int(gain)) != int(gain):
                raise ValueError(
                    f"{place}: the document {document!r} has another gain for the query {query!r} "
                    "in a line before; remove one of the two."
                )
    if not relevance:
        raise ValueError(
            f"None of the {n_lines} lines of {path} names a query and a document that exist: these "
            f"qrels are empty or belong to other files. Absent are: {shown(absent) or 'none'}."
        )
    if absent:
        warn(
            f"{len(absent)} of the {n_lines} lines of {path} were dropped, because they name "
            f"documents or queries that do not exist: {shown(absent)}"
        )
    return relevance

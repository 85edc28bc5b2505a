"""StoreHead: what a StoreRetriever has learned, kept beside the rows of its store."""

import io
import json
from dataclasses import dataclass, fields, replace

import numpy as np

from .. import score_calibration
from .._array_api import to_numpy
from .._base import same_value
from .._origin import Origin
from .._version import __version__
from ._query_banks import QueryBank
from ._snapshot import Snapshot
from ._store_documents import exported_documents, raw_documents
from ._vector_layout import VectorLayout

FORMAT = "gapremoval store"
VERSION = 1


@dataclass(frozen=True, eq=False)
class StoreHead:
    """What is known of the documents of a store, without their vectors.

    Attributes
    ----------
    store : Store
        The store that holds these very rows: once others take their place, it is another one.
    learned : Snapshot
        Without documents: the score calibration, the banks, modalities and means.
    layout : VectorLayout or None
        The coordinates of the rows; None where the store holds raw rows.
    counts : dict of str to int
        The number of documents of each modality.
    fusion_weight : float or dict of str to float
    centers : dict of str to ndarray of shape (n_features,) or None
        The centers of raw rows, by modality; None where the store holds exported vectors.
    """

    store: object
    learned: Snapshot
    layout: VectorLayout | None
    counts: dict
    fusion_weight: object = 0.5
    centers: dict | None = None

    @property
    def calibration(self):
        """The fitted score calibration, or None."""
        return self.learned.calibration

    @property
    def n_features(self):
        """Of documents and queries."""
        return self.learned.like.shape[1]

    def documents_in(self, rows):
        """The documents in StoreRows: ndarray of shape (n_rows, n_features), of unit length."""
        if self.layout is None:
            return raw_documents(rows, self.centers)
        return exported_documents(rows, self.n_features)

    def with_learned(self, learned):
        """The same after more was learned."""
        return replace(self, learned=learned)

    def check_fits(self, score_calibration, fusion_weight):
        """Raise a ValueError if this does not fit the store, or what a retriever was given."""
        try:
            self.store.search(np.zeros((1, self.layout.width), dtype=np.float32), 1)
            fits = self.counts.keys() <= set(self.layout.modalities)
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                f"What stands beside the rows of {self.store!r} does not fit them: another program "
                "changed them. Fit again, with overwrite=True."
            )
        have = {"score_calibration": self.calibration, "fusion_weight": self.fusion_weight}
        given = {"score_calibration": score_calibration, "fusion_weight": fusion_weight}
        for name, value in given.items():
            is_default = name == "score_calibration" and value is None
            if not is_default and not same_value(have[name], value):
                raise ValueError(
                    f"{self.store!r} was filled with {name}={have[name]!r}, and this retriever has "
                    f"{name}={value!r}: open the store with the former, or fit again."
                )

    def counted(self, counts):
        """The same with other numbers of documents, and the shared offsets that follow."""
        counts = {name: n for name, n in counts.items() if n}
        layout = self.layout
        if layout is not None:
            layout = replace(layout, n_documents=sum(counts.values()))
            if asked := layout.query_modalities:
                offset, names = self.calibration._shared_offset, layout.modalities
                shared = [[offset(q, m, counts.get(m, 1)) for m in names] for q in asked]
                layout = replace(layout, shared=np.array(shared, dtype=float))
        return replace(self, counts=counts, layout=layout)

    def to_bytes(self):
        """Arrays and JSON, without pickle.

        Raises
        ------
        ValueError
            If the score calibration is a class that this library does not have.
        """
        learned, arrays = self.learned, {}
        counts, means = learned.means
        for i, name in enumerate(means):
            arrays[f"mean {i}"] = means[name]
        banks = []
        for bank in learned.banks:
            banks.append({})
            for name, some in bank.items():
                number = len(arrays)
                arrays[f"rows {number}"], arrays[f"own {number}"] = some.rows, some.own
                banks[-1][name] = [number, some.ids.tolist(), some.known.tolist()]
        header = {
            "format": FORMAT,
            "format_version": VERSION,
            "version": __version__,
            "calibration": _calibration_to_json(learned.calibration),
            "banks": banks,
            "modalities": learned.modalities,
            "mean_counts": {name: int(n) for name, n in counts.items()},
            "mean_names": [*means],
            "n_rows_seen": learned.n_rows_seen,
            "next_position": int(learned.next_position),
            "origin": learned.origin,
            "n_features": self.n_features,
            "dtype": str(np.dtype(learned.like.dtype)),
            "layout": self.layout and self.layout.to_json(),
            "fusion_weight": self.fusion_weight,
        }
        arrays["header"] = np.frombuffer(
            json.dumps(header, default=_plain).encode(), dtype=np.uint8
        )
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, store, settings):
        """From what `to_bytes` returned, but for the `counts`, which the rows of the store tell.

        Raises
        ------
        ValueError
            If it is damaged, or was written by a later version.
        """
        try:
            with np.load(io.BytesIO(settings), allow_pickle=False) as file:
                arrays = dict(file)
            header = json.loads(arrays["header"].tobytes())
            if header["format"] != FORMAT:
                raise ValueError(f"its format is {header['format']!r}")
            if header["format_version"] <= VERSION:
                return cls._of_arrays(store, header, arrays)
        # Damage shows as anything that the parsers raise.
        except Exception as error:
            raise ValueError(
                "What stands beside the rows of this store is no calibration of gapremoval, or is "
                "damaged: fit again, with overwrite=True."
            ) from error
        raise ValueError(
            f"This store was filled by gapremoval {header['version']}, in a format that "
            f"{__version__} does not know: install that version, or fit again."
        )

    @classmethod
    def _of_arrays(cls, store, header, arrays):
        banks = []
        for bank in header["banks"]:
            banks.append({})
            for name, (number, ids, known) in bank.items():
                columns = arrays[f"rows {number}"], arrays[f"own {number}"], _objects(ids)
                banks[-1][name] = QueryBank(*columns, _objects(known))
        names = header["mean_names"]
        means = {name: arrays[f"mean {i}"] for i, name in enumerate(names)}
        learned = Learned(
            np.empty((0, header["n_features"]), dtype=header["dtype"]),
            next_position=header["next_position"],
            calibration=_calibration_from_json(header["calibration"]),
            banks=tuple(banks),
            modalities=tuple(header["modalities"]),
            means=({name: header["mean_counts"][name] for name in names}, means),
            n_rows_seen=header["n_rows_seen"],
            origin=header["origin"] and Origin(*header["origin"]),
        )
        layout = header["layout"] and VectorLayout.from_json(header["layout"])
        return cls(store, learned, layout, {}, header["fusion_weight"])


class Learned(Snapshot):
    """A snapshot of what was learned, whose documents lie in a store."""

    def holds(self, positions):
        """All are taken to be in the store; those that are not are dropped by the next learning."""
        return np.ones(len(positions), dtype=bool)


def without_documents(documents):
    """A snapshot that keeps what was learned, and no document."""
    known = {field.name: getattr(documents, field.name) for field in fields(documents)}
    known |= {"segments": {}, "null_samples": {}, "like": to_numpy(documents.like)}
    return Learned(**known)


def _calibration_to_json(calibration):
    """The class, the parameters and the learned attributes of a score calibration."""
    if calibration is None:
        return None
    name = type(calibration).__name__
    if getattr(score_calibration, name, None) is not type(calibration):
        raise ValueError(
            f"{name} is no score calibration of gapremoval, and only those are kept beside a "
            "store, since code is not: use PosteriorOdds, or MixedModalityRetriever."
        )
    return {
        "class": name,
        "parameters": calibration.get_params(),
        "attributes": {x: v for x, v in vars(calibration).items() if x.endswith("_")},
    }


def _calibration_from_json(saved):
    if saved is None:
        return None
    if saved["class"] not in score_calibration.__all__:
        raise ValueError("unknown class")
    calibration = getattr(score_calibration, saved["class"])(**saved["parameters"])
    attributes = {**saved["attributes"]}
    for name in ("query_modalities_", "document_modalities_"):
        attributes[name] = tuple(attributes[name])
    vars(calibration).update(attributes)
    return calibration


def _plain(x):
    """A number of numpy as JSON knows it."""
    return x.item()


def _objects(values):
    """An array of objects, of which lists are single ones."""
    return np.fromiter(values, dtype=object, count=len(values))

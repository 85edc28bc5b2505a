"""The origin of rows: the encoder that made them, and whether their gap was removed since."""

from typing import NamedTuple

HOW_TO_DROP = "EmbeddingArray(X.values, X.modality) has the same rows without their origin."


class Origin(NamedTuple):
    """Where rows come from.

    Attributes
    ----------
    encoder : str
        Names the encoder, as in ``"NAME @ DIGEST"``.
    is_centered : bool
        Whether a calibrator, such as `ModalityGapRemover`, transformed the rows.
    """

    encoder: str
    is_centered: bool = False

    @classmethod
    def of(cls, encoder):
        """The origin of rows that come from an encoder.

        Raises
        ------
        ValueError
            If `encoder` is not a name.
        """
        if not (isinstance(encoder, str) and encoder.strip() and "\0" not in encoder):
            raise ValueError(
                "encoder is a string that names an encoder and its weights, such as 'my-clip @ "
                f"3f2a97'; got {repr(encoder)[:60]}."
            )
        return cls(str(encoder))

    @property
    def weights(self):
        """What two names of the same weights have in common: all after the last ``" @ "``.

        The whole name, if nothing comes after it.
        """
        return self.encoder.rpartition(" @ ")[2].strip() or self.encoder

    def __str__(self):
        return f"{self.encoder!r}{' with the gap removed' if self.is_centered else ''}"


def check_origin(new, known, owner):
    """Refuse rows of another origin than the rows before; an unknown origin is no conflict.

    Parameters
    ----------
    new, known : Origin or None
        The origins of the new rows and of the rows before; None where it is unknown.
    owner : str
        What holds the rows before, for the message.

    Raises
    ------
    ValueError
        If the rows come from different encoders, or if the gap was removed from only one of
        the two.
    """
    if new is None or known is None:
        return
    if new.weights != known.weights:
        is_same = new.encoder.rpartition(" @ ")[0] == known.encoder.rpartition(" @ ")[0] != ""
        what = "weights or settings" if is_same else "weights"
        raise ValueError(
            f"These rows were encoded by {new.encoder!r}, and those of {owner} by "
            f"{known.encoder!r}. Embeddings of different {what} do not share a space: encode "
            f"them with the same model, or fit again with the other one. {HOW_TO_DROP}"
        )
    if new.is_centered != known.is_centered:
        what = "were already transformed" if new.is_centered else "were not transformed"
        raise ValueError(
            f"These rows {what} by a ModalityGapRemover or another calibrator, unlike those of "
            f"{owner}. On a fitted pipeline search(pipe, queries) and add_documents(pipe, X, ids) "
            "take rows as the encoder made them, and transform them once; the methods of its last "
            f"step take pipe[:-1].transform(X). {HOW_TO_DROP}"
        )

"""fetch_mixbench: downloads a subset of MixBench once, and compares every file."""

import hashlib
import os
from pathlib import Path

from sklearn.datasets import get_data_home
from sklearn.utils._param_validation import StrOptions, validate_params

from .._files import replacing
from .._optional import import_optional
from .._warnings import shown
from ._mixbench import PUBLISHED, load_mixbench

REPOSITORY = "mixed-modality-search/MixBench25"
# A commit: it fixes the content of every file, since git names a file by its checksum.
REVISION = "88e3916036ea0bdb205f4da885d6e947a565c1a0"


@validate_params(
    {
        "subset": [StrOptions({*PUBLISHED})],
        "data_home": [str, os.PathLike, None],
        "download_if_missing": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def fetch_mixbench(subset, *, data_home=None, download_if_missing=True):
    """Download a subset of MixBench and load it.

    It is the release of 2025, which has images, qrels and pairs, at a fixed commit of its
    repository ``mixed-modality-search/MixBench25`` on the Hugging Face hub. Every file is
    compared with the checksum that the repository has for it. A download that was interrupted
    goes on with the next call; one that is complete is not repeated, and needs no network.

    Needs huggingface_hub: ``pip install 'gapremoval[clip]'``.

    Parameters
    ----------
    subset : {"MSCOCO", "Google_WIT", "VisualNews", "OVEN"}
        Name of the subset.
    data_home : str or Path, default=None
        Folder for downloads, made where it does not exist. By default the one that the
        environment variable ``GAPREMOVAL_DATA_HOME`` names, or else ``~/gapremoval_data``.
    download_if_missing : bool, default=True
        Whether to download what is not there; if False, an error is raised instead.

    Returns
    -------
    subset : Bunch
        As from `load_mixbench`.

    Raises
    ------
    OSError
        If the subset is not there and cannot or must not be downloaded, or a file does not
        have its checksum.
    ImportError
        If huggingface_hub is not installed.

    Warns
    -----
    UserWarning
        As in `load_mixbench`.

    See Also
    --------
    load_mixbench : Loads a subset that lies in a folder.

    References
    ----------
    .. [1] Li et al., "Closing the Modality Gap for Mixed Modality Search", 2025,
       https://arxiv.org/abs/2507.19054

    Examples
    --------
    >>> from gapremoval.datasets import fetch_mixbench
    >>> subset = fetch_mixbench("MSCOCO")  # doctest: +SKIP
    >>> len(subset.queries), len(set(subset.ids))  # doctest: +SKIP
    (984, 984)
    """
    home = data_home or os.environ.get("GAPREMOVAL_DATA_HOME") or "~/gapremoval_data"
    folder = Path(get_data_home(str(home))) / "mixbench" / REVISION[:12]
    complete = folder / f"{subset}.sha256"
    if not complete.exists():
        if not download_if_missing:
            raise OSError(
                f"MixBench's {subset} is not complete in {folder}, and download_if_missing is "
                "False."
            )
        checksums = _download(subset, folder)
        with replacing(complete) as file:
            file.write("".join(f"{x}  {name}\n" for name, x in checksums.items()).encode())
    return load_mixbench(folder / subset)


def _download(subset, folder):
    """Download all files of a subset, compare them, and return their SHA-256 by name."""
    hub = import_optional("huggingface_hub", extra="clip", purpose="fetch_mixbench")
    folder.mkdir(parents=True, exist_ok=True)
    source = {"repo_type": "dataset", "revision": REVISION}
    try:
        # What is complete in the folder is not asked for again; a part of a file is gone on with.
        hub.snapshot_download(
            REPOSITORY, **source, allow_patterns=[f"{subset}/*"], local_dir=folder
        )
        listed = hub.HfApi().list_repo_tree(REPOSITORY, subset, recursive=True, **source)
        files = [entry for entry in listed if hasattr(entry, "blob_id")]
    except Exception as error:  # of the client, of the network, of the disk
        raise OSError(
            f"MixBench's {subset} could not be downloaded from {hub.constants.ENDPOINT}. The same "
            "call goes on where this one stopped. Where there is no network, copy the folder "
            f"{subset} of {REPOSITORY} by hand, and call load_mixbench on it. The cause: {error}"
        ) from error
    checksums, wrong = {}, []
    for entry in files:
        file = folder / entry.path
        checksums[entry.path] = _sha256(file)
        # git-lfs names large files by their SHA-256; git names the others by a SHA-1.
        found = checksums[entry.path] if entry.lfs else _git_name(file)
        if found != (entry.lfs.sha256 if entry.lfs else entry.blob_id):
            wrong.append(entry.path)
            file.unlink()  # or the next call would keep it
    if wrong or not files:
        raise OSError(
            f"{len(wrong)} of {len(files)} files of MixBench's {subset} do not have the checksum "
            f"that {REPOSITORY} has for them and were removed: {shown(wrong)}. The same call "
            "downloads them again."
        )
    return checksums


def _sha256(file):
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _git_name(file):
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

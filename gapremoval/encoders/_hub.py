"""Files of the Hugging Face hub: from its cache, else from the hub, else an error in seconds."""

import contextlib
import os
import threading

HUB_TIMEOUT = 5.0  # seconds; the hub's own retries take 46


def fetch(what, model, repository, filenames, download, *, folder, revision=None):
    """Find a file in the hub's cache, or download it if the hub answers.

    Parameters
    ----------
    what, model : str
        What the file is, and for which `model` of an encoder; for the error.
    repository : str
        Repository of the hub.
    filenames : sequence of str
        Names of the file, the preferred one first. Without one it is downloaded in any case.
    download : callable
        Downloads the file and returns its path.
    folder : str
        A folder that the encoder takes in place of the repository; for the error.
    revision : str, default=None
        Branch, tag or commit of the repository.

    Returns
    -------
    path : str

    Raises
    ------
    FileNotFoundError
        If it is not in the cache, and the hub does not answer within seconds, may not be
        asked (``HF_HUB_OFFLINE``), or refuses.
    """
    import huggingface_hub as hub

    for filename in filenames:
        # Unlike hf_hub_download with local_files_only=True, it never uses the network.
        path = hub.try_to_load_from_cache(repository, filename, revision=revision)
        if isinstance(path, str):
            return path
    cause = None
    if hub.constants.HF_HUB_OFFLINE:
        reason = "HF_HUB_OFFLINE forbids a download"
    elif not _answers(hub):
        reason = f"{hub.constants.ENDPOINT} does not answer"
    else:
        try:
            return download()
        except Exception as error:
            cause, reason = error, f"the download from {hub.constants.ENDPOINT} failed: {error}"
    raise FileNotFoundError(
        f"The {what} of model={model!r} cannot be loaded: {' or '.join(filenames) or 'a file'} of "
        f"{repository} is not in the cache {hub.constants.HF_HUB_CACHE}, and {reason}. To work "
        f"without a network, download {repository} on another machine and pass {folder}. Or copy "
        "that machine's cache, and set HF_HUB_CACHE to the copy before Python starts."
    ) from cause


def fetch_folder(what, model, repository, filenames, *, folder, **options):
    """Find the folder of the hub's cache that has a file, or download it; see `fetch`.

    The `options` are those of ``huggingface_hub.snapshot_download``.
    """
    import huggingface_hub as hub

    def download():
        return os.path.join(hub.snapshot_download(repository, **options), "a file")

    revision = options.get("revision")
    path = fetch(what, model, repository, filenames, download, folder=folder, revision=revision)
    return os.path.dirname(path)


def _answers(hub):
    """Whether the hub sends any response; proxies and certificates are left to its client."""
    responses = []

    def ask():
        # Any error means no response, from an unknown host to a refused certificate.
        with contextlib.suppress(Exception):
            session = hub.utils.get_session()
            responses.append(session.head(hub.constants.ENDPOINT, timeout=HUB_TIMEOUT))

    # In a thread, since the look-up of the host's name has no timeout of its own.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(HUB_TIMEOUT)
    return bool(responses)

"""Files of the Hugging Face hub: from its cache, from the hub, or within seconds why not."""

import contextlib
import functools
import threading
from typing import NamedTuple

from .._optional import import_optional

HUB_ANSWERS_WITHIN = 5.0  # seconds; the hub's own retries take 46

_optional = functools.partial(import_optional, extra="clip", purpose="CLIPEncoder")


class Fetch(NamedTuple):
    """Get files of a repository from the hub's cache, else from the hub if it answers."""

    model: str
    repository: str | None
    offline_form: str = ""

    def __call__(self, what, get):
        constants = _optional("huggingface_hub").constants
        try:
            return call_offline(get)
        except (ImportError, MemoryError):
            raise
        except Exception as error:
            cause = error
        if constants.HF_HUB_OFFLINE:
            hub = "HF_HUB_OFFLINE forbids to ask the hub"
        elif not _hub_answers():
            hub = f"{constants.ENDPOINT} does not answer"
        else:
            try:
                return get()
            except (ImportError, MemoryError):
                raise
            except Exception as error:
                cause, hub = error, f"{constants.ENDPOINT} did not give it: {error}"
        raise FileNotFoundError(
            f"The {what} of model={self.model!r} cannot be had: {self.repository} is not (or not "
            f"whole) on this machine, where it was looked for in {constants.HF_HUB_CACHE}, and "
            f"{hub}. Without a network, download {self.repository} on another machine and use "
            f"{self.offline_form}model='local-dir:PATH' with a folder that holds "
            "open_clip_config.json, the weights and the tokenizer's files if it has any; or copy "
            "that machine's hub cache and set HF_HUB_CACHE to it before Python starts."
        ) from cause


def _hub_answers():
    """Whether the hub sends any answer at all; proxies and certificates are the hub's own."""
    hub, answers = _optional("huggingface_hub"), []

    def ask():
        # Whatever goes wrong, from a name not found to a refused certificate: no answer.
        with contextlib.suppress(Exception):
            session = hub.utils.get_session()
            answers.append(session.head(hub.constants.ENDPOINT, timeout=HUB_ANSWERS_WITHIN))

    # In a thread, since looking up the name has no timeout of its own.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(HUB_ANSWERS_WITHIN)
    return bool(answers)


def call_offline(get):
    with offline():
        return get()


def offline():
    return replaced(_optional("huggingface_hub").constants, "HF_HUB_OFFLINE", True)


@contextlib.contextmanager
def replaced(owner, name, value):
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)

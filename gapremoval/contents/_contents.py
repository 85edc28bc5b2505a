"""Texts and pictures known by their content: each distinct one is encoded or read once."""

import hashlib
from contextlib import contextmanager
from pathlib import Path

from .._files import file_states
from .._items import contents_of
from .._optional import import_optional
from ._pictures import UnreadablePicture, picture_content, read_part


class Contents:
    """What is encoded or read, and why some of it has no result.

    Parameters
    ----------
    contents : list of str, picture or Joint
    wrong : dict of int to str
        By position, why a content has no result. It is filled here, and where the results are
        made.
    """

    def __init__(self, contents, wrong):
        self.contents, self.wrong = contents, wrong
        # Equal keys have equal results. Until `hash` all of them are different.
        self.keys, self.states = [str(i) for i in range(len(contents))], []

    def hash(self, made_by, map=map):
        """Give equal contents equal keys, which hold in a cache; None where there is no content.

        Parameters
        ----------
        made_by : list of str
            What determines the result of each, beside its content.
        map : callable, default=map
            Calls a function with each content, in threads for example.
        """
        self.states = [self._state(i) for i in range(len(self.contents))]
        for i, key in enumerate(map(_key, self.contents, made_by)):
            self.keys[i] = key
            if isinstance(key, UnreadablePicture):
                self.keys[i], self.wrong[i] = None, str(key)

    def results(self, cached, make, advance):
        """The results of all contents, from a cache or made.

        Parameters
        ----------
        cached : callable
            `cached_rows` or `cached_texts`, with its folder.
        make : callable
            Takes positions, and yields pairs of positions and results. What it leaves out, it
            notes in `wrong`.
        advance : callable
            Takes the number of results that were made; see `progress_bar`.
        """

        def make_missing(missing):
            for positions, results in make(missing):
                advance(len(positions))
                # What was read must be what was hashed, since the key is that of the old content.
                changed = {i for i in positions if self.states and self._state(i) != self.states[i]}
                self.wrong.update(dict.fromkeys(changed, "the file changed meanwhile"))
                if kept := [x for x in zip(positions, results) if x[0] not in changed]:
                    yield tuple(zip(*kept))

        results = cached(self.keys, make_missing)
        # Of equal contents only the first was tried.
        why = {self.keys[i]: reason for i, reason in self.wrong.items()}
        self.wrong.update({i: why[key] for i, key in enumerate(self.keys) if key and key in why})
        return results

    def _state(self, i):
        """What a change of the files of a content changes."""
        return file_states(x for x in contents_of(self.contents[i]) if isinstance(x, Path))


def _key(content, made_by):
    """Key of what is made of a content, or the error that says why it cannot be read."""
    try:
        parts = contents_of(content)
        known_by = [
            x.encode(errors="surrogatepass")
            if isinstance(x, str)
            else read_part(picture_content, x, len(parts))
            for x in parts
        ]
    except UnreadablePicture as error:
        return error
    if len(known_by) > 1:  # the end of one must not be taken for the start of the next
        known_by = [hashlib.sha256(x).digest() for x in known_by]
    made_by = made_by.encode(errors="surrogatepass")
    return hashlib.sha256(made_by + b"".join(known_by)).hexdigest()


@contextmanager
def progress_bar(doing, total, verbose):
    """Yield a function that advances a progress bar, which is full in the end."""
    if not verbose:
        yield lambda n: None
        return
    tqdm = import_optional("tqdm.auto", extra="clip", purpose="verbose=True").tqdm
    with tqdm(total=total, desc=doing) as bar:
        yield bar.update
        bar.update(total - bar.n)  # what a cache had, or cannot be read

"""Do captions from elsewhere stand in for questions where a folder has few notes?

usage: python benchmarks/few_notes.py

Photos with a few notes among them, searched by other captions of the photos and of the notes
with the recommended pipeline, which was fitted

- alone: on the photos and notes;
- captions: on 32 captions from elsewhere too, as query rows;
- prior: and with the mean of these captions as the prior of the notes.

Mean reciprocal rank of the photos / of the notes, over draws of which scenes are what.
"""

import warnings

import _tests  # noqa: F401
import numpy as np
from real_data import load_real

from gapremoval import CLIPEncoder, EmbeddingArray, make_search_pipeline, search
from gapremoval.datasets import load_ordinary_captions, make_scenes
from gapremoval.metrics import reciprocal_rank_at_k

NOTES = (0, 1, 2, 3, 4, 8, 15)
N_DRAWS = 8


def scenes(rng):
    """150 drawn scenes as photos; the captions are those that the command line takes."""
    encoder, drawn = CLIPEncoder("pocket", device="cpu"), make_scenes(400, random_state=11)
    texts = [encoder.transform(list(kind)).values for kind in zip(*drawn.captions)]
    images, captions = encoder.transform(drawn.images).values, load_ordinary_captions()
    captions = encoder.transform(captions).values
    for _ in range(N_DRAWS):
        order = rng.permutation(len(images))
        yield images, images[:0], texts, order[:150], order[150:], captions


def flickr(rng, elsewhere=None):
    """20 photos with captions among 495 others; captions of other photos, or of products."""
    photos = load_real("flickr8k_clip_vitb32.npz")
    texts = list(photos["text"].swapaxes(0, 1))
    for _ in range(N_DRAWS):
        order = rng.permutation(50)
        captions = photos["text"][order[35:]].reshape(-1, 512)[:32]
        if elsewhere is not None:
            captions = elsewhere[rng.permutation(len(elsewhere))[:32]]
        yield photos["image"], photos["extra"], texts, order[:20], order[20:35], captions


def fitted(images, notes, captions, how):
    rows = {"image": images, "text": notes, "query:text": captions if how != "alone" else notes[:0]}
    rows = {name: values for name, values in rows.items() if len(values)}
    n_documents = len(images) + len(notes)
    ids = [*range(n_documents), *[None] * (len(captions) if how != "alone" else 0)]
    pipe = make_search_pipeline()
    if how == "prior":
        pipe[0].set_params(prior={"text": captions.mean(axis=0)})
    return pipe.fit(EmbeddingArray.concatenate(rows), ids)


def compare(draws):
    """Print a row a number of notes."""
    draws = list(draws)
    print(f"{'notes':>5}" + "".join(f"{how:>18}" for how in ("alone", "captions", "prior")))
    for n_notes in NOTES:
        cells = []
        for how in ("alone", "captions", "prior"):
            found = []
            for images, others, texts, photo, noted, captions in draws:
                noted = noted[:n_notes]
                corpus = np.concatenate([images[photo], others])
                if how == "alone" and not n_notes:
                    continue  # nothing stands behind the mean of a question
                pipe = fitted(corpus, texts[0][noted], captions, how)
                places = np.arange(len(noted)) + len(corpus)
                for asked, answers in ((photo, np.arange(len(photo))), (noted, places)):
                    if len(asked):
                        ids = search(pipe, texts[1][asked], 100, modality="text").ids
                        rank = reciprocal_rank_at_k(answers.tolist(), ids, 100).mean()
                        found.append((len(found) % 2, rank))
            kinds = [[value for kind, value in found if kind == k] for k in (0, 1)]
            if not n_notes:
                kinds = [[value for _, value in found], []]
            cells.append(" / ".join(f"{np.mean(x):.3f}" if x else "-" for x in kinds))
        print(f"{n_notes:>5}" + "".join(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of what is too few: that is the question
    products = load_real("products_clip_vitb32.npz")["text"]
    for title, draws in (
        ("Drawn scenes, ordinary captions", scenes),
        ("Flickr8k, captions of other photos", flickr),
        ("Flickr8k, texts of products", lambda rng: flickr(rng, products)),
    ):
        print(f"\n{title}")
        compare(draws(np.random.default_rng(0)))

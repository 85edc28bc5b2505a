"""SentenceTransformerEncoder: embeddings from any model that sentence-transformers loads."""

from collections.abc import Mapping
from pathlib import Path

from ._encoder import Encoder
from ._sentence_model import check_sentence_model, load_sentence_model


class SentenceTransformerEncoder(Encoder, auto_wrap_output_keys=None):
    """Encode texts, pictures and both together with a model of sentence-transformers.

    These are CLIP and SigLIP models, and multimodal generative embedders such as VLM2Vec,
    Qwen3-VL-Embedding and jina's. Queries are encoded by the model's ``encode_query``, all
    other items by its ``encode_document``.

    Nothing is learned in `fit`. The model is loaded at the first `transform`, kept once per
    process, shared by clones, and never pickled.

    Parameters
    ----------
    model : str
        ``"ORG/NAME"``, a repository of the Hugging Face hub (``"NAME"`` is one of the
        organization ``sentence-transformers``, such as ``"clip-ViT-B-32"``), or a folder
        that ``save_pretrained`` of sentence-transformers or transformers wrote.
    device : str or torch.device, default=None
        Device of the model. None chooses CUDA, then MPS, then the CPU.
    batch_size : int, default=32
        Number of items per forward pass. It is halved, with one warning, when the memory of the
        device is too small.
    prompts : dict of str to str, default=None
        What stands before each ``"query"`` or ``"document"``, in place of the model's own
        prompts. A generative embedder takes it for its instruction; other models, for texts
        only.
    output : {"numpy", "torch"}, default="numpy"
        Type of the embeddings; ``"torch"`` puts them on the device of the model.
    n_jobs : int, default=None
        Number of threads that decode pictures while the model runs. None and -1 mean one per
        core.
    memory : str, Path or joblib.Memory, default=None
        Cache folder; see `CLIPEncoder`.
    verbose : bool, default=False
        Whether to show a progress bar.
    load_kwargs : dict, default=None
        Further arguments of ``sentence_transformers.SentenceTransformer``, such as
        ``{"model_kwargs": {"dtype": "bfloat16"}}``, ``{"processor_kwargs": {"size":
        {"longest_edge": 602112, "shortest_edge": 3136}}}`` (pixels of a picture, for fewer
        tokens), ``{"revision": ...}``, or ``{"trust_remote_code": True}`` for models that come
        with code of their own, which it runs.

    See Also
    --------
    CLIPEncoder : Encodes with a network of open_clip.
    Joint : A text and pictures as one item, for models that read both together.
    Query : Marks an item as a query.

    Notes
    -----
    Rows are those of sentence-transformers, scaled to unit length, except for the texts of SigLIP
    models: these are padded to full length, as they were trained, where sentence-transformers
    6.2 pads them to the longest of a batch. The precision is that of the stored weights; rows in
    half precision depend slightly on their batch.

    A checkpoint without a ``modules.json`` does not say how the vectors of tokens become one.
    sentence-transformers averages them, where VLM2Vec and its kind read the last: a warning tells.

    Pictures are turned upright by their EXIF data, transparent parts become white, and a file
    with several frames gives its first one. In a `Joint` they stand before the text.

    Texts are never taken for addresses or names of pictures, which sentence-transformers does
    with bare strings.

    References
    ----------
    .. [1] Reimers and Gurevych, "Sentence-BERT", EMNLP 2019.
    .. [2] Jiang et al., "VLM2Vec: Training Vision-Language Models for Massive Multimodal
       Embedding Tasks", ICLR 2025.

    Examples
    --------
    >>> from pathlib import Path
    >>> from gapremoval import SentenceTransformerEncoder, make_search_pipeline, search
    >>> encoder = SentenceTransformerEncoder("clip-ViT-B-32", memory="rows")
    >>> pipe = make_search_pipeline(encoder)
    >>> items = ["a note on bicycles", Path("photos/snow.jpg")]
    >>> found = search(pipe.fit(items), "a red bicycle in snow")  # doctest: +SKIP
    """

    _parameter_constraints = {
        **Encoder._parameter_constraints,
        "prompts": [None, Mapping],
        "load_kwargs": [None, Mapping],
    }
    _kinds = frozenset({"text", "image", "joint"})
    _asks_apart = True
    _prefix = "st:"

    def __init__(
        self,
        model,
        *,
        device=None,
        batch_size=32,
        prompts=None,
        output="numpy",
        n_jobs=None,
        memory=None,
        verbose=False,
        load_kwargs=None,
    ):
        self.model = model
        self.device = device
        self.batch_size = batch_size
        self.prompts = prompts
        self.output = output
        self.n_jobs = n_jobs
        self.memory = memory
        self.verbose = verbose
        self.load_kwargs = load_kwargs

    def _check_model(self):
        check_sentence_model(self.model)
        for role, prompt in (self.prompts or {}).items():
            if role not in {"query", "document"} or not isinstance(prompt, str):
                raise ValueError(
                    "prompts are a dict with a text for 'query', for 'document' or for both; got "
                    f"{role!r}: {prompt!r}."
                )
        if taken := {"device", "prompts", "cache_folder"}.intersection(self.load_kwargs or {}):
            name = taken.pop()
            how = f"give it as {name}=, outside of the dict"
            how = "set the environment variable HF_HUB_CACHE" if name == "cache_folder" else how
            raise ValueError(f"load_kwargs has {name!r}: {how}.")

    def _load(self):
        self._check_model()
        model = load_sentence_model(
            self.model, self.device, self.load_kwargs or {}, self.prompts or {}
        )
        return model, "float32"

    def _lasting_name(self):
        source = check_sentence_model(self.model)
        return f"{self._prefix}{source if isinstance(source, Path) else self.model}"

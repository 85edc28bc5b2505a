"""``gapremoval search`` and ``info``: what is found, how it is shown, what is refused."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("typer")
pytest.importorskip("open_clip")

import torch

from gapremoval import CLIPEncoder, Query
from gapremoval.cli._index_file import IndexFile
from gapremoval.cli._output import printable
from gapremoval.cli._searching import ask
from gapremoval.datasets import load_ordinary_captions


def files(done):
    """The paths of a JSON answer, best first."""
    results = json.loads(done.out)["results"]
    return [[file["path"] for file in result["files"]] for result in results]


def test_a_text_finds_pictures_and_notes(run, indexed, scenes):
    hits = []
    for i in range(0, 60, 5):
        done = run("search", "index.gap", scenes.captions[i][3], "-n", "3", "--json")
        assert done.err == ""
        hits.append(any(f"scene {i}." in path for paths in files(done) for path in paths))
    assert np.mean(hits) >= 0.8


def test_the_table_has_ranks_scores_modalities_and_paths(run, indexed, scenes):
    done = run("search", "index.gap", scenes.captions[0][1], "-n", "5")
    head, *lines = done.out.splitlines()
    assert head.split() == ["rank", "score", "probability", "modality", "file"]
    assert len(lines) == 5
    scores = []
    for rank, line in enumerate(lines, 1):
        found = re.fullmatch(r" *(\d+) +(-?\d+\.\d{3}) +([<>]?[\d.]+)% +(\S+) +(photos/.*)", line)
        assert int(found[1]) == rank
        scores.append(float(found[2]))
        suffixes = {"image": "png", "text": "txt", "image+text": "png + txt"}[found[4]]
        assert " + ".join(part[-3:] for part in found[5].split(" + ")) == suffixes
    assert scores == sorted(scores, reverse=True)


def test_a_picture_finds_itself_and_both_together_find_what_both_say(run, indexed, scenes):
    picture = indexed / "scene 12.png"
    for text in ([], [scenes.captions[12][1]]):
        done = run("search", "index.gap", *text, "--image", picture, "-n", "1", "--json")
        assert files(done) == [[str(picture), str(picture.with_suffix(".txt"))]] or files(done) == [
            [str(picture)]
        ]
        asked = json.loads(done.out)["query"]
        assert asked["text"] == (text[0] if text else None)
        assert asked["image"]["path"] == str(picture)


def test_json_says_what_is_known_of_each_result(run, indexed, scenes):
    answer = json.loads(run("search", "index.gap", scenes.captions[0][1], "--json").out)
    assert len(answer["results"]) == 10
    assert isinstance(answer["evidence"], float)
    for rank, result in enumerate(answer["results"], 1):
        assert result["rank"] == rank
        assert 0 <= result["probability"] <= 1
        for file in result["files"]:
            assert file["uri"] == f"file://{file['path'].replace(' ', '%20')}"


def test_where_probably_nothing_answers_nothing_is_found_and_that_is_told(run, indexed, scenes):
    asked = ["search", "index.gap", scenes.captions[0][1]]
    shown = run(*asked, "--json").out
    false_alarm = json.loads(shown)["false_alarm"]
    assert 0 < false_alarm <= 1
    assert run(*asked, "--json", "--max-false-alarm", "1").out == shown
    none = run(*asked, "--max-false-alarm", "0", "--json", "--html", "out.html", "--learn")
    assert (none.code, none.err) == (0, "gapremoval: page: out.html\n")
    assert json.loads(none.out) == {**json.loads(shown), "results": []}
    assert "1 learned" in run("info", "index.gap").out
    told = run(*asked, "--max-false-alarm", "0")
    assert (told.code, told.out) == (0, "")
    assert re.search(r"probably nothing in the folder answers this: .* [\d.]+% look at", told.err)
    assert len(told.err.splitlines()) == 1
    assert run(*asked, "--max-false-alarm", "1.5").code == 2


def test_more_results_than_there_are_documents_are_not_made_up(run, indexed):
    found = files(run("search", "index.gap", "a ring", "-n", "1000", "--json"))
    assert len(found) == len({tuple(paths) for paths in found}) == 60


@pytest.mark.parametrize("kind", ["image", "text", "image+text"])
def test_only_one_modality_is_searched_if_asked_for(run, indexed, kind):
    done = run("search", "index.gap", "a ring", "--only", kind, "--json")
    assert {result["modality"] for result in json.loads(done.out)["results"]} == {kind}


def test_a_modality_that_is_not_there_is_an_error_that_lists_those_that_are(run, photos):
    for picture in photos.rglob("*.png"):
        picture.unlink()
    run("index", photos, "--model", "pocket")
    done = run("search", "index.gap", "a ring", "--only", "image")
    assert done.code == 1
    assert "No document has the modality 'image'; there are 'text'" in done.err


def test_a_picture_cannot_ask_where_there_are_none(run, photos, scenes, tmp_path):
    for picture in photos.rglob("*.png"):
        picture.unlink()
    run("index", photos, "--model", "pocket")
    scenes.images[0].save(tmp_path / "question.png")
    done = run("search", "index.gap", "--image", "question.png")
    assert done.code == 1
    assert "The index holds no pictures" in done.err


def test_a_lone_picture_is_found_among_pictures_and_the_warning_says_so(run, photos, scenes):
    for picture in photos.rglob("*.png"):
        picture.unlink()
    scenes.images[0].save(photos / "alone.png")
    done = run("index", photos, "--model", "pocket")
    assert done.code == 0
    assert "warning: a single image is its own mean: --only image finds it." in done.err
    found = files(run("search", "index.gap", "a ring", "--only", "image", "--json"))
    assert found == [[str(photos / "alone.png")]]


def test_the_page_shows_thumbnails_and_texts_even_of_files_that_are_gone(run, indexed, scenes):
    done = run("search", "index.gap", scenes.captions[0][1], "-n", "60", "--html", "out.html")
    assert done.code == 0
    assert done.err == "gapremoval: page: out.html\n"
    page = Path("out.html").read_text(encoding="utf-8")
    assert page.count('<img src="data:image/') == 40
    assert scenes.captions[2][0][:60] in page
    assert "Query 1" not in page
    # The page and the folder can be moved together.
    links = re.findall(r'<a href="([^"]*)"', page)
    assert len(links) == 80
    assert {Path(unquote(link)).resolve() for link in links} == {
        path for path in indexed.rglob("*") if path.suffix in (".png", ".txt")
    }
    assert all(link.startswith("photos/") for link in links)
    shutil.rmtree(indexed)
    assert run("search", "index.gap", "a ring", "-n", "60", "--html", "out.html").code == 0
    page = Path("out.html").read_text(encoding="utf-8")
    assert page.count("no such file") == 80
    assert "<img" not in page


@pytest.mark.parametrize("target", ["index.gap", "photos/scene 0.png", "photos/scene 1.txt"])
def test_the_page_overwrites_nothing_but_a_page(run, indexed, target):
    target = Path(target if target != "photos/scene 1.txt" else "photos/scene 2.txt")
    before = target.read_bytes()
    done = run("search", "index.gap", "a ring", "--html", target)
    assert (done.code, done.out) == (1, "")
    assert "is something else than a page of results and is not overwritten" in done.err
    assert target.read_bytes() == before


def test_two_documents_of_like_names_have_each_its_own_content(run, tmp_path, scenes):
    folder = tmp_path / "odd"
    folder.mkdir()
    scenes.images[0].save(folder / "a.png")
    (folder / "a.txt").write_text("the text of a")
    (folder / "a.png + a.txt").write_text("another text")
    run("index", folder, "--model", "pocket")
    run("search", "index.gap", "a ring", "--html", "out.html")
    page = Path("out.html").read_text(encoding="utf-8")
    assert page.count("the text of a") == page.count("another text") == 1


def test_only_what_is_learned_changes_an_answer_and_it_makes_answers_better(run, photos, scenes):
    # Few notes among many pictures: how much each answers is what questions tell.
    for i, note in enumerate(sorted(photos.rglob("*.txt"))):
        if i % 8:
            note.unlink()
    run("index", photos, "--model", "pocket")
    index, encoder = IndexFile.load("index.gap"), CLIPEncoder("pocket")

    def quality(index):
        ranks = []
        for i in range(0, 60, 3):
            found = ask(index, encoder.transform([Query(scenes.captions[i][1])]), 60)
            names = [index.names[index.documents[x][0]] for x in found.ids[0]]
            ranks.append(1 + [Path(x).name for x in names].index(f"scene {i}.png"))
        return np.mean(1 / np.array(ranks))

    question = scenes.captions[0][1]
    before = run("search", "index.gap", question).out
    assert run("search", "index.gap", question).out == before
    assert run("search", "index.gap", question, "--learn").out == before
    assert run("search", "index.gap", question).out != before
    learned = IndexFile.load("index.gap").learned
    assert np.array_equal(learned.values, encoder.transform([Query(question)]).values)
    assert "0 ordinary captions, 1 learned" in run("info", "index.gap").out
    asked = [Query(captions[2]) for captions in scenes.captions]
    taught = index.with_learned(encoder.transform(asked))
    assert quality(taught) >= quality(index)


@pytest.mark.parametrize("again", ["", "."])
def test_a_question_learned_twice_or_in_two_wordings_still_finds_its_answer(
    run, indexed, scenes, again
):
    for i in (0, 1, 2, 21, 22, 23):  # photos, notes, and photos with a note
        shutil.copy("index.gap", f"{i}.gap")
        question = scenes.captions[i][1]
        for text in (question, question + again):
            run("search", f"{i}.gap", text, "--learn")
        kept = 1 + bool(again)
        assert f"{kept} learned" in run("info", f"{i}.gap").out
        found = files(run("search", f"{i}.gap", question, "-n", "3", "--json"))
        assert any(f"scene {i}." in path for paths in found for path in paths)


def test_what_is_in_an_index(run, indexed):
    out = run("info", "index.gap").out
    told = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert told["files"] == "80 (40 image, 40 text)"
    assert told["documents"] in (
        "60 (20 image, 20 image+text, 20 text)",
        "60 (20 image, 20 text, 20 image+text)",
    )
    assert told["model"] == "pocket"
    assert re.fullmatch("[0-9a-f]{64}", told["fingerprint"])
    assert told["size"].endswith(" bytes")
    assert told["folder"] == str(indexed)


def test_the_drift_of_questions_tells_them_from_the_notes(run, indexed, scenes):
    assert re.search(r"^drift +-$", run("info", "index.gap").out, re.M)
    index, encoder = IndexFile.load("index.gap"), CLIPEncoder("pocket")
    alike = [Query(captions[0]) for captions in scenes.captions[:30]]
    elsewhere = [Query(caption) for caption in load_ordinary_captions()]
    drifts = []
    for asked in (alike, elsewhere):
        index.with_learned(encoder.transform(asked)).save("index.gap")
        told = run("info", "index.gap").out
        found = re.search(
            r"^drift +learned questions ([\d.]+) standard errors off texts$", told, re.M
        )
        drifts.append(float(found[1]))
    assert drifts[0] < 1.5
    assert drifts[1] > 3


def test_an_index_is_refused_with_other_weights(run, photos, network, tmp_path):
    run("index", photos, "--model", network("network"))
    assert run("search", "index.gap", "two dogs").code == 0

    done = run("search", "index.gap", "two dogs", "--model", "pocket")
    assert done.code == 1
    assert "with other weights than 'pocket' has now" in done.err

    moved = (tmp_path / "network").rename(tmp_path / "moved")
    assert run("search", "index.gap", "two dogs").code == 1
    assert run("search", "index.gap", "two dogs", "--model", f"local-dir:{moved}").code == 0

    weights = moved / "open_clip_pytorch_model.bin"
    state = torch.load(weights)
    state["logit_scale"] += 1
    torch.save(state, weights)
    done = run("search", "index.gap", "two dogs", "--model", f"local-dir:{moved}")
    assert done.code == 1
    assert f"with other weights than 'local-dir:{moved}' has now" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name a TEXT or an --image"),
        ([" "], "TEXT is blank"),
        (["--image", "absent.png"], "There is no picture 'absent.png'"),
        (["photos/scene 0.png"], "did you mean --image photos/scene 0.png?"),
        (["x", "-n", "0"], "-n"),
        (["x", "-n", "many"], "-n"),
        (["x", "--nonsense"], "--nonsense"),
        (["caf\udce9"], "TEXT is not UTF-8"),
        (["--image", "photos"], "There is no picture 'photos'"),
        (["--image", ""], "There is no picture ''"),
        (["x", "--only", "audio"], "--only"),
        (["x", "--only", "\x1b[31m"], "\\x1b[31m"),
        (["x", "--\x1b[31m"], "--\\x1b[31m"),
        (["x", "y\x1b[31m"], "y\\x1b[31m"),
        (["--image", "\x1b[31m\n.png"], "There is no picture '\\x1b[31m\\n.png'"),
    ],
)
def test_wrong_use_is_exit_code_2_and_a_line_that_mends_it(run, indexed, arguments, message):
    done = run("search", "index.gap", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert done.err.endswith("See 'gapremoval search --help'.\n")
    assert "\x1b" not in done.err


def test_a_picture_whose_name_commands_the_terminal_is_told_escaped(run, indexed):
    name = "red\x1b[31m\u202egnp.png"
    (indexed / "scene 0.png").rename(name)
    done = run("search", "index.gap", name)
    assert (done.code, done.out) == (2, "")
    assert "TEXT names a picture: did you mean --image red\\x1b[31m\\u202egnp.png?" in done.err
    Path(name).unlink()
    done = run("search", "index.gap", name)
    assert done.code == 0
    assert done.err.startswith("gapremoval: warning: did you mean --image red\\x1b[31m")
    assert not {"\x1b", "\u202e"} & {*done.err}


@given(st.text(st.characters(codec=None)) | st.text("\x1b\n\r\u202e\u2028\udce9\ud800\x00é"))
def test_whatever_is_told_is_one_line_without_commands_for_the_terminal(text):
    told = printable(text)
    assert told.isprintable()
    told.encode()
    if text.isprintable():
        assert told == text


def test_without_a_command_the_help_is_shown(run):
    done = run()
    assert done.code == 0
    assert done.out == run("--help").out
    assert run("no\x1bsense").err.startswith("gapremoval: error: No such command 'no\\x1bsense'")


def test_a_text_like_the_name_of_a_picture_that_is_not_there_is_a_text_with_a_warning(run, indexed):
    done = run("search", "index.gap", "holiday.jpg")
    assert done.code == 0
    assert done.err.startswith("gapremoval: warning: did you mean --image holiday.jpg?")
    assert len(done.err.splitlines()) == 1


def test_a_text_that_begins_with_a_dash(run, indexed):
    done = run("search", "index.gap", "--json", "--", "-n")
    assert json.loads(done.out)["query"]["text"] == "-n"


def test_the_question_is_shown_as_it_was_typed(run, indexed):
    for text in ("holiday.jpg", "x" * 300 + ".jpg", " two  blanks "):
        done = run("search", "index.gap", text, "--json")
        assert json.loads(done.out)["query"] == {"text": text, "image": None}


@pytest.mark.parametrize(
    "name", ["absent.gap", "photos", "photos/scene 0.png", "photos/scene 1.txt"]
)
@pytest.mark.parametrize("command", ["search", "info"])
def test_what_is_no_index_is_refused(run, photos, name, command):
    done = run(command, name, *(["x"] if command == "search" else []))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("gapremoval: error: ")


def test_a_broken_picture_as_a_question_is_one_line(run, indexed):
    for name, content in (("a.jpg", b"xx"), ("a.HEIC", b"\0\0\0\x18ftypheic" + bytes(500))):
        (indexed / name).write_bytes(content)
        done = run("search", "index.gap", "--image", indexed / name)
        assert done.code == 1
        assert done.err.startswith("gapremoval: error: The question cannot be encoded: ")
        assert len(done.err.splitlines()) == 1


def test_where_the_page_cannot_be_written_is_told_before_the_search(run, indexed, monkeypatch):
    monkeypatch.setattr(IndexFile, "load", None)
    done = run("search", "index.gap", "x", "--html", "absent/out.html")
    assert done.code == 1
    assert "There is no folder absent to write a page of results in" in done.err


def test_version_and_help(run):
    from gapremoval import __version__

    assert run("--version").out == f"gapremoval {__version__}\n"
    for command in ([], ["index"], ["search"], ["encode"], ["info"]):
        done = run(*command, "--help")
        assert done.code == 0
        assert "Usage: gapremoval" in done.out
    assert "Exit codes: 0 done; 1 failed; 2 wrong use; 3 index or parts written" in run("-h").out


def test_without_typer_the_extra_is_named():
    # In a process of its own, whose signals the command may handle.
    script = "import sys; sys.modules['typer'] = None; from gapremoval import cli; cli.main()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("needs typer: pip install 'gapremoval[cli]'\n")


def test_uris_lead_back_to_files_of_any_name(run, indexed, scenes, tmp_path):
    path = indexed / "100 %25 #1?.png"
    scenes.images[3].save(path)
    run("index", indexed, "--model", "pocket")
    done = run("search", "index.gap", "--image", path, "-n", "2", "--json")
    uris = [result["files"][0]["uri"] for result in json.loads(done.out)["results"]]
    assert path in [type(path)(unquote_to_bytes(uri[7:]).decode()) for uri in uris]

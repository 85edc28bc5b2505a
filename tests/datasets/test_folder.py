"""read_folder: which files become items, what they are called, and what is said of the rest."""

import os
import re
import sys
import warnings
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import read_folder


def write(root, name, content=b"..."):
    """Write a file and the folders above it."""
    file = Path(root) / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        file.write_text(content, encoding="utf-8", newline="")
    else:
        file.write_bytes(content)
    return file


def link(file, target, **options):
    try:
        file.symlink_to(target, **options)
    except OSError:
        pytest.skip("no links can be made here")


stems = st.text("aAbz09 ._-é", min_size=1, max_size=6).filter(
    lambda stem: not stem.startswith(".") and stem.strip() == stem
)
folders = st.lists(stems.filter(lambda stem: not stem.endswith(".")), max_size=2)
suffixes = st.sampled_from([".jpg", ".JPG", ".png", ".webp", ".txt", ".md", ".TXT", ".docx"])
trees = st.lists(st.tuples(folders, stems, suffixes), min_size=1, max_size=12).filter(
    lambda tree: any(suffix != ".docx" for *_, suffix in tree)
)


@given(trees)
def test_each_item_has_its_path_without_suffix_as_id_in_sorted_order(tree):
    with TemporaryDirectory() as root, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="[0-9]+ files? w.* left out")
        written = set()
        for parts, stem, suffix in tree:
            name = "/".join([*(f"{part}_" for part in parts), stem + suffix])
            # A text holds its own path, so that it can be told which file it was.
            written.add(write(root, name, name).relative_to(root).as_posix())
        items, ids = read_folder(root)
    names = [x if isinstance(x, str) else x.relative_to(root).as_posix() for x in items]
    assert len(items) == len(ids)
    assert names == sorted(name for name in written if not name.endswith(".docx"))
    for item, name, document in zip(items, names, ids):
        assert name == document + PurePosixPath(name).suffix
        assert isinstance(item, str) == name.lower().endswith((".txt", ".md"))


def test_a_picture_and_a_text_are_one_document_within_one_folder_only(tmp_path):
    for name in ("summer/cat.jpg", "summer/cat.txt", "winter/cat.PNG", "cat.md"):
        write(tmp_path, name, "a cat")
    items, ids = read_folder(tmp_path)
    assert ids == ["cat", "summer/cat", "summer/cat", "winter/cat"]
    photo, winter = tmp_path / "summer" / "cat.jpg", tmp_path / "winter" / "cat.PNG"
    assert items == ["a cat", photo, "a cat", winter]


COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"  # print alike


def spelled_apart(tmp_path):
    """Skip where the file system takes the two spellings for one name."""
    write(tmp_path, f"try/{COMPOSED}.txt", "a")
    if (tmp_path / "try" / f"{DECOMPOSED}.txt").exists():
        pytest.skip("the file system composes names")


def test_a_picture_and_its_note_are_one_document_however_systems_spell_their_name(tmp_path):
    spelled_apart(tmp_path)
    write(tmp_path, f"b/{DECOMPOSED}/{COMPOSED}.jpg")
    write(tmp_path, f"b/{COMPOSED}/{DECOMPOSED}.txt", "a note")
    items, ids = read_folder(tmp_path / "b")
    assert ids == [f"{COMPOSED}/{COMPOSED}"] * 2
    assert set(items) == {tmp_path / "b" / DECOMPOSED / f"{COMPOSED}.jpg", "a note"}


def test_two_files_whose_names_print_alike_are_told(tmp_path):
    spelled_apart(tmp_path)
    for name in (COMPOSED, DECOMPOSED):
        write(tmp_path, f"b/{name}.jpg")
    write(tmp_path, "b/other.jpg")
    with pytest.warns(UserWarning, match=rf"Unicode form alone are one document: '{COMPOSED}.jpg'"):
        items, ids = read_folder(tmp_path / "b")
    assert ids == [COMPOSED, COMPOSED, "other"]
    assert all(item.is_file() for item in items)


def test_suffixes_count_whatever_their_case(tmp_path):
    for name in ("IMG_1.JPG", "IMG_2.Jpeg", "IMG_3.TIFF", "IMG_4.tif", "notes.MD", "x.GIF"):
        write(tmp_path, name)
    assert len(read_folder(str(tmp_path))[0]) == 6


def test_only_the_last_suffix_is_cut_off(tmp_path):
    write(tmp_path, "v1.5/photo.2024.jpg")
    assert read_folder(tmp_path)[1] == ["v1.5/photo.2024"]


@pytest.mark.parametrize(
    "name",
    [
        "._IMG_1.JPG",
        ".DS_Store",
        ".Trashes/x.jpg",
        ".git/x.txt",
        "@eaDir/IMG_1.JPG/SYNO_THUMB.jpg",
        "$RECYCLE.BIN/x.jpg",
        "System Volume Information/x.jpg",
        "__MACOSX/IMG_1.jpg",
        "node_modules/a/logo.png",
        "sub/Thumbs.db",
        "sub/desktop.ini",
    ],
)
def test_hidden_and_system_entries_are_passed_over_without_a_word(tmp_path, name):
    write(tmp_path, "IMG_1.JPG")
    write(tmp_path, name)
    assert read_folder(tmp_path)[1] == ["IMG_1"]


def test_the_folder_itself_may_be_hidden(tmp_path):
    write(tmp_path, ".photos/a.jpg")
    assert read_folder(tmp_path / ".photos") == ([tmp_path / ".photos" / "a.jpg"], ["a"])


def test_a_relative_folder_gives_relative_pictures(tmp_path, monkeypatch):
    write(tmp_path, "b/a.jpg")
    monkeypatch.chdir(tmp_path)
    assert read_folder(".") == ([Path("b/a.jpg")], ["b/a"])


def test_a_folder_with_the_suffix_of_a_picture_is_a_folder(tmp_path):
    write(tmp_path, "x.jpg/inside.png")
    assert read_folder(tmp_path)[1] == ["x.jpg/inside"]


def test_thousands_of_empty_folders_and_very_deep_ones(tmp_path):
    for i in range(2000):
        (tmp_path / f"empty {i}").mkdir()
    deep = "/".join(["d"] * 500)
    write(tmp_path, f"{deep}/a.jpg")
    assert read_folder(tmp_path)[1] == [f"{deep}/a"]


class TestTexts:
    def test_utf8_is_read_with_and_without_a_mark(self, tmp_path):
        text = "Fahrräder im Schnee\n雪の中の自転車 🚲"
        write(tmp_path, "a.txt", text)
        write(tmp_path, "b.txt", b"\xef\xbb\xbf" + text.encode())
        write(tmp_path, "c.txt", text.replace("\n", "\r\n"))
        assert read_folder(tmp_path)[0] == [text] * 3

    @pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le"])
    def test_another_encoding_is_counted(self, tmp_path, encoding):
        write(tmp_path, "a.jpg")
        write(tmp_path, "b.txt", "Räder".encode(encoding))
        write(tmp_path, "c.txt", "wheels".encode("utf-16"))
        with pytest.warns(UserWarning, match=r"^2 files were left out: 2 .txt \(not UTF-8\)\.$"):
            assert read_folder(tmp_path)[1] == ["a"]

    @pytest.mark.parametrize("blank", [b"", b" \n\t", b"\xef\xbb\xbf", "\u3000\n".encode()])
    def test_a_blank_text_is_no_item_but_counted(self, tmp_path, blank):
        write(tmp_path, "a.jpg")
        write(tmp_path, "b.md", blank)
        with pytest.warns(UserWarning, match=r"^1 file was left out: 1 .md \(blank\)\.$"):
            assert read_folder(tmp_path)[1] == ["a"]

    def test_a_text_is_not_trimmed(self, tmp_path):
        write(tmp_path, "a.txt", "  a\nb\n")
        assert read_folder(tmp_path)[0] == ["  a\nb\n"]


class TestNotTaken:
    HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500)

    def test_is_counted_by_suffix_in_one_warning_at_the_callers_line(self, tmp_path, monkeypatch):
        pil = pytest.importorskip("PIL.Image")
        read_folder(write(tmp_path, "b/b.jpg").parent)  # registers what is installed
        for suffix in (".heic", ".heif", ".hif"):
            monkeypatch.delitem(pil.EXTENSION, suffix, raising=False)
        names = ["1.HEIC", "2.heic", "3.CR2", "clip.MOV", "notes.docx", "Makefile", "Dr. Who"]
        for name in ["a.jpg", *names]:
            write(tmp_path, f"sub/{name}", self.HEIC)
        said = (
            "7 files were left out: 2 .heic (pip install pillow-heif), 2 other, 1 .cr2, "
            "1 .docx, 1 .mov."
        )
        with pytest.warns(UserWarning, match="left out") as caught:
            assert read_folder(tmp_path)[1] == ["b/b", "sub/a"]
        assert [(str(x.message), x.filename) for x in caught] == [(said, __file__)]

    def test_heic_and_avif_are_taken_once_pillow_opens_them(self, tmp_path, monkeypatch):
        pil = pytest.importorskip("PIL.Image")
        pil.init()
        monkeypatch.setattr(pil, "EXTENSION", {".heic": "HEIF", ".avif": "AVIF"})
        for name in ("1.HEIC", "2.avif"):
            write(tmp_path, name)
        assert read_folder(tmp_path)[1] == ["1", "2"]

    def test_a_folder_is_read_without_pillow(self, tmp_path, monkeypatch):
        for name in ("PIL", "PIL.Image"):
            monkeypatch.setitem(sys.modules, name, None)
        for name in ("1.avif", "2.jpg", "3.txt"):
            write(tmp_path, name)
        with pytest.warns(UserWarning, match=r"1 .avif \(pip install -U pillow\)"):
            assert read_folder(tmp_path)[1] == ["2", "3"]

    def test_many_suffixes_make_a_short_message(self, tmp_path):
        write(tmp_path, "a.jpg")
        for i in range(30):
            write(tmp_path, f"x.q{i:02}")
        with pytest.warns(UserWarning, match=r"^30 files .* 1 \.q11 and 18 of other suffixes\.$"):
            read_folder(tmp_path)

    def test_what_is_neither_a_file_nor_a_folder(self, tmp_path):
        if not hasattr(os, "mkfifo"):
            pytest.skip("no pipes here")
        write(tmp_path, "a.jpg")
        os.mkfifo(tmp_path / "b.jpg")
        with pytest.warns(UserWarning, match=r"1 .jpg \(not a regular file\)"):
            assert read_folder(tmp_path)[1] == ["a"]

    def test_a_folder_that_cannot_be_entered(self, tmp_path):
        closed = write(tmp_path, "closed/a.jpg").parent
        write(tmp_path, "b.jpg")
        closed.chmod(0)
        try:
            if os.access(closed, os.R_OK):
                pytest.skip("this user may read everything")
            with pytest.warns(UserWarning, match=r"1 folder \(permission denied\)"):
                assert read_folder(tmp_path)[1] == ["b"]
            with pytest.raises(PermissionError):
                read_folder(closed)
        finally:
            closed.chmod(0o700)

    def test_a_folder_that_vanishes_or_fails_while_it_is_read(self, tmp_path, monkeypatch):
        write(tmp_path, "bad/a.jpg")
        write(tmp_path, "b.jpg")
        scandir = os.scandir

        def failing(folder):
            if os.path.basename(folder) == "bad":
                raise PermissionError(13, "Permission denied", folder)
            return scandir(folder)

        monkeypatch.setattr(os, "scandir", failing)
        with pytest.warns(UserWarning, match=r"1 folder \(permission denied\)"):
            assert read_folder(tmp_path)[1] == ["b"]
        with pytest.raises(PermissionError):
            read_folder(tmp_path / "bad")


class TestLinks:
    def test_a_file_is_named_by_its_own_place_and_taken_once(self, tmp_path):
        file = write(tmp_path, "z/a.jpg")
        link(tmp_path / "a link.jpg", file)
        link(tmp_path / "folder link", tmp_path / "z", target_is_directory=True)
        assert read_folder(tmp_path)[1] == ["z/a"]

    def test_files_and_folders_elsewhere_are_followed_once(self, tmp_path):
        write(tmp_path, "disk/album/a.jpg")
        write(tmp_path, "disk/b.jpg")
        (tmp_path / "root").mkdir()
        for name, target in {
            "a": "disk/album",
            "c": "disk",
            "again": "disk",
            "b.jpg": "disk/b.jpg",
            "b2.jpg": "disk/b.jpg",
        }.items():
            link(tmp_path / "root" / name, tmp_path / target)
        assert read_folder(tmp_path / "root")[1] == ["a/a", "again/b"]

    def test_loops_are_ended(self, tmp_path):
        write(tmp_path, "beside.jpg")
        write(tmp_path, "root/sub/a.jpg")
        root = tmp_path / "root"
        link(root / "itself", root, target_is_directory=True)
        link(root / "parent", tmp_path, target_is_directory=True)
        link(root / "sub" / "up", root, target_is_directory=True)
        write(tmp_path, "disk/b.jpg")
        link(root / "disk", tmp_path / "disk", target_is_directory=True)
        link(tmp_path / "disk" / "back", root, target_is_directory=True)
        link(tmp_path / "disk" / "up", tmp_path, target_is_directory=True)
        assert read_folder(root)[1] == ["disk/b", "sub/a"]

    def test_the_folder_itself_may_be_a_link(self, tmp_path):
        write(tmp_path, "real/sub/a.jpg")
        link(tmp_path / "link", tmp_path / "real", target_is_directory=True)
        assert read_folder(tmp_path / "link") == ([tmp_path / "link/sub/a.jpg"], ["sub/a"])

    def test_a_broken_link_is_counted(self, tmp_path):
        write(tmp_path, "a.jpg")
        link(tmp_path / "b.png", tmp_path / "nowhere.png")
        link(tmp_path / "c.png", tmp_path / "c.png")
        with pytest.warns(UserWarning, match=r"^2 files .*: 2 .png \(broken link\)\.$"):
            assert read_folder(tmp_path)[1] == ["a"]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="such names cannot be made here")
def test_any_file_name_is_taken(tmp_path):
    names = [
        b"caf\xe9 1.jpg",
        b"two\nlines.jpg",
        b"-n.jpg",
        b"[bold]x[<br>].jpg",
        b"n" * 251 + b".jpg",
        "שלום 🚲.jpg".encode(),
        "e\u0301.jpg".encode(),
        b"back\\slash.jpg",
        b"'quoted\".txt",
    ]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(b"a text, or not")
    items, ids = read_folder(tmp_path)
    composed = [name[:-4].replace("e\u0301".encode(), "\u00e9".encode()) for name in names]
    assert sorted(os.fsencode(i) for i in ids) == sorted(composed)
    assert all(type(i) is str for i in ids)
    assert all(item.is_file() for item in items if isinstance(item, Path))
    assert "caf\udce9 1" in ids


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder .*nowhere"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="There is no folder ''"):
        read_folder("")
    with pytest.raises(NotADirectoryError, match=r"is a file. Give the folder it lies in"):
        read_folder(write(tmp_path, "a.jpg"))


def test_a_folder_with_nothing_to_take_is_refused(tmp_path):
    said = re.escape(str(tmp_path))
    with pytest.raises(ValueError, match=rf"{said}. It holds nothing that is not hidden. Suffixes"):
        read_folder(tmp_path)
    write(tmp_path, "a.docx")
    with pytest.raises(
        ValueError, match=r"1 file was left out: 1 .docx. Suffixes that are read: .*\.webp"
    ):
        read_folder(tmp_path)


class TestLongTexts:
    def test_of_a_huge_text_the_beginning_is_read(self, tmp_path):
        with open(tmp_path / "huge.txt", "wb") as file:
            file.write("é".encode() * 70_000)  # the limit falls between the letters' bytes
            file.write(b"\xff")
        items, _ = read_folder(tmp_path)
        assert items == ["é" * 65_536]

    def test_a_letter_that_the_limit_cuts_in_two_is_left_out(self, tmp_path):
        write(tmp_path, "huge.txt", "x" + "é" * 70_000)
        items, _ = read_folder(tmp_path)
        assert items == ["x" + "é" * 65_535]

    def test_a_text_that_ends_within_a_letter_is_not_utf_8(self, tmp_path):
        write(tmp_path, "a.jpg")
        write(tmp_path, "cut.txt", "é".encode()[:1])
        with pytest.warns(UserWarning, match=r"1 \.txt \(not UTF-8\)"):
            assert read_folder(tmp_path)[1] == ["a"]


def test_hidden_names_are_taken_if_asked_for(tmp_path):
    for name in ("a.jpg", ".b.jpg", ".album/c.jpg", "@eaDir/d.jpg", "node_modules/e.png"):
        write(tmp_path, name)
    assert read_folder(tmp_path)[1] == ["a"]
    found = read_folder(tmp_path, hidden=True)[1]
    assert found == [".album/c", ".b", "@eaDir/d", "a", "node_modules/e"]

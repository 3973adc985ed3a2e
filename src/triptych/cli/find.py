"""Commands that find moments: features, index, search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter, validators

from triptych.cli.output import Device, Json, Model, bar, check_suffix, document, note, split_choices
from triptych.files import slug

if TYPE_CHECKING:
    from triptych.clip_results import Hit

Count = Annotated[int, Parameter(name=["--count", "-n"], validator=validators.Number(gte=1, lte=1000))]


def register(app: App) -> None:
    """Add the commands of this file."""
    for command in (features, index, search):
        app.command(command)


def features(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    layer: Annotated[int | None, Parameter(validator=validators.Number(gte=0))] = None,
    model: Model = "tabletop",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Turn a clip of any length into vectors: one a segment, and one for the whole.

    Args:
        file: Clip, or - for standard input.
        out: File to write: .npz, with the arrays segments (segments, D), clip (D,), times (segments, 2).
        layer: Block of the GPT, from 0, that gives the vectors; the best by measurement if not given.
        model: Name or folder.
        device: `cpu`, `cuda` or `auto`.
        json: Print one JSON document with the vectors.
    """
    check_suffix(out, (".npz",))
    from triptych import load

    found = load(model, device).features(str(file), layer=layer)
    if out is not None:
        found.save(out)
    if json:
        document(found.as_dict())
        return
    count, width = found.segments.shape
    print(f"{count} segments of {width} numbers, from layer {found.layer}" + (f"  {out}" if out else ""))


def index(
    folder: Path,
    /,
    *,
    library: Path | None = None,
    language: str = "en,zh",
    model: Model = "tabletop",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Read a folder of pictures and clips into a library for `triptych search`; a second call reads what changed.

    Args:
        folder: Pictures and clips, in any subfolders. Nothing in it is changed but its library.
        library: Folder of the library; FOLDER/.triptych if not given.
        language: Tags of the languages in which moments are described, with commas between them.
        model: Name or folder.
        device: `cpu`, `cuda` or `auto`.
        json: Print one JSON document instead.
    """
    from triptych import load

    counts = dict.fromkeys(("new", "changed", "same", "deleted", "failed"), 0)
    files = []
    with bar("indexing") as progress:
        for result in load(model, device).index(folder, library=library, languages=split_choices(language) or ["en"]):
            counts[result.status] += 1
            progress(result.done, result.total)
            if result.error:
                note(f"skipped: {result.error}")
            if json:
                files.append({"file": result.file, "status": result.status, "moments": result.moments})
    if json:
        document({"folder": str(folder), **counts, "files": files})
    else:
        print(f"{folder}: " + ", ".join(f"{count} {status}" for status, count in counts.items()))


def search(
    query: str,
    folder: Path = Path("."),
    /,
    *,
    count: Count = 10,
    library: Path | None = None,
    export: Path | None = None,
    model: Model = "tabletop",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Find moments in a folder that `triptych index` has read: by a text, by a picture, or by a clip.

    Args:
        query: What happens, in English or Chinese; or the file of a picture or clip, for moments that look like it.
        folder: The folder that was indexed.
        count: Moments to give.
        library: Folder of the library; FOLDER/.triptych if not given.
        export: Folder to cut the found clips into, best first.
        model: Name or folder.
        device: `cpu`, `cuda` or `auto`.
        json: Print one JSON document instead, with thumbnails.
    """
    from triptych import load

    what = Path(query) if _is_file(query) else query
    hits = load(model, device).search(what, folder, library=library, count=count)
    cut = _export(hits, export, slug(query) or "found") if export is not None else [""] * len(hits)
    if json:
        rows = [hit.as_dict() | ({"export": path} if path else {}) for hit, path in zip(hits, cut, strict=True)]
        document({"query": query, "folder": str(folder), "hits": rows})
        return
    for hit, path in zip(hits, cut, strict=True):
        print(f"{hit}{f'  -> {path}' if path else ''}")
    if not hits:
        note("the library holds no moments")


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name
        return False


def _export(hits: list[Hit], folder: Path, stem: str) -> list[str]:
    """Cut each hit's part of its clip; pictures are copied. Gives the files."""
    import shutil

    from triptych.media import video

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, hit in enumerate(hits, 1):
        source = Path(hit.file)
        path = folder / f"{number:02d}-{stem}{'.mp4' if hit.end > hit.start else source.suffix}"
        if hit.end > hit.start:
            video.cut(source, path, hit.start, hit.end)
        else:
            shutil.copyfile(source, path)
        paths.append(str(path))
    return paths

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from triptych.config import VisualTokenizerConfig
from triptych.errors import ConfigError, DataError
from triptych.evaluate import clip_measures, picture_measures, plan_measures, report, suite, text_measures
from triptych.evaluate.bench import Bench
from triptych.files import read_jsonl
from triptych.media import image, video
from triptych.results import Plan
from triptych.sequence.plan import Thing
from triptych.worlds.tabletop.language import ATTRIBUTES, phrase
from triptych.zoo import ModelInfo

from . import small

SIZE = 64


class Nothing:
    """A model that answers nothing and draws grey."""

    def __init__(self, path: Path) -> None:
        self.path, self.info = path, ModelInfo(name="nothing", size=SIZE, visual=VisualTokenizerConfig())

    def _grey(self) -> Any:
        return SimpleNamespace(pixels=np.full((SIZE, SIZE, 3), 128, np.uint8))

    def draw(self, text: str, *, n: int = 1, **_: Any) -> list[Any]:
        return [self._grey()] * n

    def draw_many(self, texts: list[str], seeds: list[int], **_: Any) -> list[Any]:
        return [self._grey() for _ in texts]

    def edit(self, picture: np.ndarray, instruction: str, **_: Any) -> list[Any]:
        return [self._grey()]

    def caption_many(self, media: list[Any], *, language: str = "en") -> list[Any]:
        return [SimpleNamespace(text="") for _ in media]

    def ask_many(self, questions: list[Any]) -> list[Any]:
        return [SimpleNamespace(text="") for _ in questions]

    def reconstruct(self, pixels: np.ndarray) -> np.ndarray:
        return np.full_like(pixels, 128)


CLIPS = {"track", "locate", "classify", "search", "predict", "surprise"}


class Cheat(Nothing):
    """A model that has read the truth."""

    def __init__(self, path: Path, data: Path) -> None:
        super().__init__(path)
        self.rows = {data / row["file_name"]: row for row in read_jsonl(data / "metadata.jsonl")}
        self.queries: list[str] = []
        self.pixels = {file: image.read(file) for file, row in self.rows.items() if file.suffix == ".png"}

    def draw(self, text: str, *, n: int = 1, images: Any = None, **_: Any) -> list[Any]:
        last = small.digest(images[-1])
        files = list(self.pixels)
        number = next(i for i, file in enumerate(files) if small.digest(self.pixels[file]) == last)
        return [SimpleNamespace(pixels=self.pixels[files[number + 1]])]

    def draw_many(self, texts: list[str], seeds: list[int], **_: Any) -> list[Any]:
        out = []
        for text in texts:
            rows = self.rows.items()
            out.append(next(self.pixels[f] for f, row in rows if text in (*row["texts"]["en"], *row["texts"]["zh"])))
        return [SimpleNamespace(pixels=pixels) for pixels in out]

    def edit(self, picture: np.ndarray, instruction: str, **_: Any) -> list[Any]:
        return self.draw("", images=[picture])

    def plan(self, text: str = "", *, image: Any = None, language: str = "en") -> Plan:
        rows = self.rows.values()
        row = self.rows[image] if image else next(r for r in rows if text in (*r["texts"]["en"], *r["texts"]["zh"]))
        things = [(phrase(o, ATTRIBUTES, "en"), o["box"]) for o in row["truth"]["objects"]]
        return Plan(text, tuple(Thing(words, tuple(edge / SIZE for edge in box)) for words, box in things), "cheat")

    def track(self, frames: np.ndarray, *, ahead: float, language: str) -> Any:
        truth, _ = self._clip_of(frames)
        looks = {o["id"]: o for o in truth["objects"]}
        times = range(0, len(frames) + round(8 * ahead), 4)
        told = [[(phrase(looks[o["id"]], ATTRIBUTES, "en"), o["box"]) for o in truth["frames"][f]] for f in times]
        things = [tuple(Thing(words, tuple(edge / SIZE for edge in box)) for words, box in some) for some in told]
        return SimpleNamespace(plans=things)

    def _clip_of(self, frames: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
        """The truth of the clip that begins so, and all of its frames."""
        for file, row in self.rows.items():
            if file.suffix == ".mp4" and not row["truth"]["impossible"]:
                whole = video.read(file, size=SIZE, fps=8).frames
                if (whole[: len(frames)] == frames).all():
                    return row["truth"], whole
        raise AssertionError

    def caption_many(self, media: list[Any], *, language: str = "en") -> list[Any]:
        which = {".png": 4, ".mp4": 0}
        return [SimpleNamespace(text=self.rows[m]["texts"][language][which[m.suffix]]) for m in media]

    def ask_many(self, questions: list[Any]) -> list[Any]:
        out = []
        for medium, question in questions:
            known = [] if medium is None else self.rows[medium]["qa"]
            out.append(SimpleNamespace(text=next((q["answer"] for q in known if q["question"] == question), "?")))
        return out

    def reconstruct(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.copy()

    def codes(self, pixels: np.ndarray) -> np.ndarray:
        """A number for the content of each cell, whatever is around it."""
        cells = pixels.astype(np.int64).sum(2)
        return cells.reshape(len(cells) // 16, 16, -1, 16).sum((1, 3))

    def locate(self, path: Path, text: str, *, count: int) -> list[Any]:
        times = [(e["start"], e["end"]) for e in self.rows[path]["events"] if text in e["text"].values()]
        return [SimpleNamespace(start=times[0][0], end=times[0][1])]

    def classify(self, path: Path, labels: list[str]) -> Any:
        own = [e["text"]["en"] for e in self.rows[path]["events"]]
        return SimpleNamespace(text=next(label for label in labels if label in own))

    def index(self, folder: Path, *, languages: Any) -> list[Any]:
        return []

    def search(self, text: str, folder: Path, *, count: int) -> list[Any]:
        def fits(file: Path) -> bool:
            row = self.rows[file.resolve()]
            told = [e["text"].values() for e in row["events"]] + list(row["texts"].values())
            return any(text in some for some in told)

        self.queries.append(text)
        return [SimpleNamespace(file=str(f)) for f in sorted(folder.iterdir(), key=lambda f: not fits(f))]

    def predict(self, frames: np.ndarray, *, seconds: float, seed: int) -> list[Any]:
        return [SimpleNamespace(frames=self._clip_of(frames)[1][len(frames) :])]

    def surprise(self, path: Path) -> Any:
        height = 9.0 if self.rows[path]["truth"]["impossible"] else 1.0
        curve = np.array([1.0, 1.0, height])
        return SimpleNamespace(peaks=curve, leaps=0 * curve, strange=curve, fresh=np.array([True, False, False]))

    def text_nats(self, media: list[Any], texts: list[str], language: str) -> list[float]:
        return [0.0 if medium is not None else -8.0 for medium in media]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.write(tmp_path_factory.mktemp("eval") / "data", size=SIZE, pictures=16, edits=("color", "remove"))


@pytest.fixture(scope="module")
def perfect(folder: Path) -> dict[str, Any]:
    judge: Any = small.Judge(folder, SIZE)
    return suite.evaluate(
        Cheat(folder.parent, folder), folder, folder.parent / "out.json", detector=judge, progress=False
    )


@pytest.fixture(scope="module")
def empty(folder: Path) -> dict[str, Any]:
    judge: Any = small.Judge(folder, SIZE)
    return suite.evaluate(Nothing(folder.parent), folder, limit=10, detector=judge, progress=False)


def test_relations_are_counted_by_kind() -> None:
    asked = [{"shape": "ball"}, {"shape": "cube"}, {"shape": "cone"}]
    ask = picture_measures.Ask(None, "", "en", asked, [(0, "left", 1), (1, "right", 2), (0, "behind", 2)])  # type: ignore[arg-type]
    places = ((10, 10), (90, 50), (50, 40))
    seen = [{**thing, "center": place} for thing, place in zip(asked, places, strict=True)]
    held = picture_measures.held_relations
    assert held(ask, ["left", "right"], seen, 100) == (2, 2)
    assert held(ask, ["left", "right"], [{**seen[0], "center": (95, 10)}, *seen[1:]], 100) == (1, 2)
    assert held(ask, ["front", "behind"], [{**seen[0], "center": (10, 90)}, *seen[1:]], 100) == (0, 1)
    assert held(ask, ["on"], seen, 100) == (0, 0)


def test_a_model_that_cheats_is_perfect(perfect: dict[str, Any]) -> None:
    assert perfect["skipped"] == {}
    values = {name: score["value"] for name, score in perfect["measures"].items()}
    for name, value in values.items():
        if name.startswith(("ask", "caption")):
            assert value == 1, name
    drawn = ("objects", "scenes", "objects, en", "objects, zh", "scenes, en", "scenes, zh")
    for name in (*drawn, "relations", "relations, left and right"):
        assert values[f"draw: {name}"] == 1, name
    planned = ("objects of texts", "relations of texts", "relations of texts, left and right")
    for name in ("things of pictures, F1", *planned):
        assert values[f"plan: {name}"] == 1, name
    assert values["plan: position error of things"] < 1  # boxes are told in whole percent
    assert values["track: position error at the end of what is shown"] < 1e-6
    assert values["track: position error, 1 s ahead"] < 1e-6
    assert values["tokenizer: PSNR"] == 100
    assert values["tokenizer: SSIM"] == pytest.approx(1)
    assert values["tokenizer: attributes kept"] == 1
    assert values["tokenizer: codes that an edit leaves"] == 1
    assert values["view: position error of objects"] == 0
    made = (
        "asked change made",
        "asked change made, color",
        "asked change made, remove",
        "change made and nothing else",
    )
    for name in (*made, "objects left alone"):
        assert values[f"edit: {name}"] == 1, name
    assert values["edit: change of the rest"] == 0
    for name in ("locate: within 0.25 s, en", "locate: temporal IoU, zh", "classify: top-1 of 4 events"):
        assert values[name] == 1, name
    assert values["predict: error of pixels, 1 s ahead"] == 0
    assert values["surprise: AUROC of impossible events"] == 1
    assert values["language: bits a byte, en"] == 0


def test_a_run_goes_on_where_it_was_stopped(folder: Path, tmp_path: Path) -> None:
    """Measures of the same run are kept and not taken again, others are refused; what was skipped is tried again."""
    out = tmp_path / "out.json"
    once = suite.evaluate(
        Nothing(folder.parent), folder, out, only="caption,plan", limit=4, resume=True, progress=False
    )
    assert set(once["skipped"]) == {"plan"}
    known = json.loads(out.read_text())
    known["measures"]["caption: objects of pictures, en, F1"]["value"] = 0.123
    out.write_text(json.dumps(known))
    again = suite.evaluate(
        Nothing(folder.parent), folder, out, only="ask,caption,plan", limit=4, resume=True, progress=False
    )
    assert again["measures"]["caption: objects of pictures, en, F1"]["value"] == 0.123
    assert [name.split(":")[0] for name in again["measures"]][-1] == "ask"
    assert set(again["seconds"]) == {"ask", "caption", "plan"}
    assert set(again["skipped"]) == {"plan"}
    assert json.loads(out.read_text()) == again
    judge: Any = small.Judge(folder, SIZE)
    better = suite.evaluate(
        Cheat(folder.parent, folder), folder, out, only="plan", limit=4, resume=True, detector=judge, progress=False
    )
    assert not better["skipped"]
    assert set(better["seconds"]) == set(again["seconds"])
    known["measures"] = {"dreams: depth": known["measures"]["caption: objects of pictures, en, F1"]}
    known["seconds"] = {"dreams": 1.0}
    out.write_text(json.dumps(known))
    older = suite.evaluate(Nothing(folder.parent), folder, out, only="caption", limit=4, resume=True, progress=False)
    assert not any(name.startswith("dreams") for name in older["measures"])
    fresh = suite.evaluate(Nothing(folder.parent), folder, out, only="caption", limit=4, progress=False)
    assert fresh["measures"]["caption: objects of pictures, en, F1"]["value"] != 0.123
    with pytest.raises(ConfigError, match=r"out\.json: taken with limit 4, not 5: name another file"):
        suite.evaluate(Nothing(folder.parent), folder, out, only="caption", limit=5, resume=True, progress=False)
    known["data"]["metadata"] = "0"
    out.write_text(json.dumps(known))
    with pytest.raises(ConfigError, match="taken of other media"):
        suite.evaluate(Nothing(folder.parent), folder, out, only="caption", limit=4, resume=True, progress=False)
    with pytest.raises(ConfigError, match="name it"):
        suite.evaluate(Nothing(folder.parent), folder, only="caption", limit=4, resume=True, progress=False)


def test_many_clips_are_searched_by_few_texts_that_tell_all(folder: Path) -> None:
    """As many texts as the limit allows, among all clips; each clip's fullest text, and one of its events."""
    cheat = Cheat(folder.parent, folder)
    results = suite.evaluate(cheat, folder, only="search", limit=2, progress=False)["measures"]
    clips = [row for file, row in cheat.rows.items() if file.suffix == ".mp4" and not row["truth"]["impossible"]]
    assert len(clips) > 2
    assert len(cheat.queries) == 8
    for language, asked in (("en", cheat.queries[:2]), ("zh", cheat.queries[2:4])):
        told = [[text for text in row["texts"][language] if not text.startswith("[")] for row in clips]
        assert all(text in [max(texts, key=len) for texts in told] for text in asked)
    events = {event["text"]["en"] for row in clips for event in row["events"]}
    assert events.issuperset(cheat.queries[4:6])
    assert set(results["search: recall at 1, zh"]["baselines"]) == {"random"}
    assert results["search: recall at 5, by one event, en"]["note"] == f"among {len(clips)} clips"
    assert results["search: recall at 10, en"]["n"] == 2


def test_codes_that_look_at_the_whole_picture_are_not_left_by_an_edit(folder: Path) -> None:
    class Nervous(Cheat):
        def codes(self, pixels: np.ndarray) -> np.ndarray:
            return super().codes(pixels) + int(pixels.sum())

    judge: Any = small.Judge(folder, SIZE)
    results = suite.evaluate(Nervous(folder.parent, folder), folder, only="tokenizer", detector=judge, progress=False)
    assert results["measures"]["tokenizer: codes that an edit leaves"]["value"] < 0.1


def test_what_stands_beside_a_score_is_worse_than_perfect(perfect: dict[str, Any]) -> None:
    measured = perfect["measures"]
    assert measured["draw: scenes"]["baselines"]["another picture"] < 0.5
    assert measured["draw: scenes"]["baselines"]["true picture"] == 1
    assert measured["plan: things of pictures, F1"]["baselines"]["things of another picture"] < 0.5
    assert measured["plan: position error of things"]["baselines"]["things of another picture"] > 10
    assert measured["plan: objects of texts"]["baselines"]["plan of another text"] < 0.5
    surprises = measured["surprise: AUROC of impossible events"]["baselines"]
    assert (surprises["bits alone"], surprises["leaps alone"]) == (1, 0.5)
    for name, pixels in (("0.5 s", 2), ("1 s", 4)):  # half a pixel a frame
        assert measured[f"track: position error, {name} ahead"]["baselines"] == pytest.approx(
            {"true places when the clip broke off": pixels}
        )
    assert measured["tokenizer: PSNR"]["baselines"]["mean image"] < 30
    assert sum("bytes" in name for name in measured["tokenizer: PSNR"]["baselines"]) == 3
    assert measured["ask: accuracy, pictures"]["baselines"]["the same GPT without the medium"] == 0
    assert 0 < measured["ask: accuracy, pictures"]["baselines"]["most frequent answer of the form"] < 0.8
    assert measured["language: bits a byte, en"]["baselines"]["the same GPT without the medium"] > 0
    assert measured["view: position error of objects"]["baselines"]["copy of the last view"] == pytest.approx(4)
    copy = "copy of the picture before"
    assert measured["edit: asked change made"]["baselines"][copy] == 0
    assert measured["edit: objects left alone"]["baselines"][copy] == 1
    assert measured["edit: change made and nothing else"]["baselines"][copy] == 0
    assert measured["edit: change made and nothing else"]["baselines"]["true picture"] == 1


def test_a_model_that_answers_nothing_is_at_or_below_its_baselines(empty: dict[str, Any]) -> None:
    assert set(empty["skipped"]) == {"language", "plan", *CLIPS}
    trivial = ("another picture", "most frequent caption", "most frequent answer of the form", "mean image")
    checked = 0
    for name, score in empty["measures"].items():
        if name.startswith(("draw: obj", "draw: scenes", "draw: rel", "ask", "caption")):
            assert score["value"] == 0, name
        for other, value in score["baselines"].items():
            # A grey picture may be more alike in structure than the mean of all.
            if other in trivial and score["better"] == "higher" and name != "tokenizer: SSIM":
                assert score["value"] <= value, (name, other)
                checked += 1
    assert checked > 20


def test_rare_kinds_of_questions_are_asked_of_more_media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = small.write(tmp_path / "media", pictures=6, clips=8)
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    clips = [row for row in rows if row["file_name"].startswith("clips/0")]
    for number, row in enumerate(clips):  # each clip counts; three of eight foretell, twice
        foretold = [{"question": f"What {end}?", "answer": "no", "kind": "predictive", "lang": "en"} for end in "ab"]
        row["qa"] += foretold if number in (1, 4, 6) else []
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / clips[6]["file_name"]).write_bytes(b"no clip")
    asked: list[tuple[str, str]] = []

    def measured(limit: int) -> dict[str, Any]:
        reader: Any = Cheat(tmp_path, folder)
        bench = Bench(reader, folder, limit=limit)
        asked.clear()

        def answers(pairs: list[Any]) -> list[str]:
            asked.extend((str(path), question) for path, question in pairs)
            return ["1" if "How many" in question else "no" for _, question in pairs]

        monkeypatch.setattr(bench, "answers", answers)
        return text_measures.ask(bench)

    few, all_ = measured(3), measured(100)
    assert all_["accuracy, clips"].n == 7 + 2 * 2  # what can't be read isn't asked
    assert all_["accuracy, clips, predictive"].n == 4
    assert few["accuracy, clips"].n == few["accuracy, clips, en"].n
    counted, foretold = few["accuracy, clips, counting"].n, few["accuracy, clips, predictive"].n
    assert counted == 3  # of each of three clips
    assert foretold == 4
    assert few["accuracy, clips"].n < counted + foretold  # those of more clips don't count among all
    assert few["accuracy, clips, predictive"].value == 1
    assert len(set(asked)) == len(asked)  # nothing is asked twice


def test_one_json_a_run(perfect: dict[str, Any], folder: Path) -> None:
    stored = json.loads((folder.parent / "out.json").read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(perfect))
    assert {"model", "weights", "recipe", "data", "seed", "sampling", "triptych", "date", "measures", "skipped"} <= set(
        stored
    )
    for score in stored["measures"].values():
        assert score["n"] > 0
        assert score["better"] in ("higher", "lower")
        low, high = score["ci95"] or (score["value"], score["value"])
        assert low <= score["value"] + 1e-9
        assert high >= score["value"] - 1e-9


def test_a_seed_gives_the_same_numbers(folder: Path) -> None:
    judge: Any = small.Judge(folder, SIZE)
    model = Cheat(folder.parent, folder)
    runs = [
        suite.evaluate(model, folder, only="ask,view", limit=5, seed=4, detector=judge, device="cpu", progress=False)
        for _ in range(2)
    ]
    assert runs[0]["measures"] == runs[1]["measures"]


def test_a_folder_without_truth_says_what_it_lacks(tmp_path: Path) -> None:
    for number in range(3):
        image.write(tmp_path / f"{number}.png", small.paint(small.sample(np.random.default_rng(number), 2, SIZE), SIZE))
        (tmp_path / f"{number}.txt").write_text("a red thing")
    results = suite.evaluate(Nothing(tmp_path), tmp_path, progress=False)
    assert "tokenizer: PSNR" in results["measures"]
    assert "truth" in results["skipped"]["draw"]
    assert "questions" in results["skipped"]["ask"]
    assert "sequences" in results["skipped"]["view"]
    assert set(results["skipped"]) == {"draw", "plan", "caption", "ask", "view", "edit", "language", *CLIPS}


def test_without_a_detector_drawing_is_not_measured(folder: Path, tmp_path: Path) -> None:
    results = suite.evaluate(Nothing(tmp_path), folder, only=["draw"], progress=False)
    assert "python -m triptych.evaluate.detector" in results["skipped"]["draw"]


def test_errors_name_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'draw'"):
        suite.evaluate(Nothing(tmp_path), folder, only="drew", progress=False)
    with pytest.raises(ConfigError, match="limit=0"):
        suite.evaluate(Nothing(tmp_path), folder, limit=0, progress=False)
    with pytest.raises(ConfigError, match="device 'tpu'"):
        suite.evaluate(Nothing(tmp_path), folder, device="tpu", progress=False)
    with pytest.raises(DataError, match="no pictures or clips"):
        suite.evaluate(Nothing(tmp_path), tmp_path, progress=False)
    with pytest.raises(ConfigError, match="guidance=-1"):
        suite.evaluate(Nothing(tmp_path), folder, guidance=-1, progress=False)
    with pytest.raises(ConfigError, match="the model's own size"):
        suite.evaluate(Nothing(tmp_path), folder, width=448, progress=False)


def test_what_can_not_be_drawn_by_the_settings_is_skipped(tiny_model: Path, folder: Path) -> None:
    judge: Any = small.Judge(folder, SIZE)
    results = suite.evaluate(
        str(tiny_model), folder, limit=1, only="draw", detector=judge, device="cpu", progress=False, decode="parallel"
    )
    assert "has not learned to draw in any order" in results["skipped"]["draw"]
    assert results["sampling"]["decode"] == "parallel"


def test_the_package_s_own_models_are_read(tiny_model: Path, folder: Path) -> None:
    judge: Any = small.Judge(folder, SIZE)
    results = suite.evaluate(str(tiny_model), folder, limit=1, detector=judge, device="cpu", progress=False)
    assert set(results["skipped"]) == {"plan", "track"}  # which it has not learned
    assert {name.partition(":")[0] for name in results["measures"]} == set(suite.MEASURES) - {"plan", "track"}
    assert set(results["weights"]) >= {"gpt.safetensors", "visual.safetensors"}
    # Random weights tell nothing.
    assert results["measures"]["language: bits a byte, en"]["value"] > 2


def test_a_text_asks_for_what_it_names(folder: Path) -> None:
    from triptych.evaluate.bench import Bench

    item = next(i for i in Bench(Nothing(folder), folder).known_pictures if len(i.objects) == 3)
    ask = picture_measures.asked(item, "zh")
    assert ask is not None
    assert len(ask.objects) == 3
    assert all(o["shape"] for o in ask.objects)


def test_tables(perfect: dict[str, Any], folder: Path) -> None:
    page = f"# A model\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    once = report.insert_results(page, folder.parent / "out.json")
    assert "old" not in once
    assert once.startswith("# A model\n")
    assert once.endswith("\nafter\n")
    assert "| draw: objects ↑ | 1.00 |" in once
    assert report.insert_results(once, perfect) == once
    short = report.render_markdown(perfect, only=["draw: scenes"])
    assert "edits: temperature 0.3, best_of 1; futures:" in short
    assert "draw: objects" not in short
    assert "draw: scenes" in short
    with pytest.raises(ValueError, match="holds no"):
        report.insert_results("no marks", perfect)
    with pytest.raises(ValueError, match="no measure 'x'"):
        report.render_markdown(perfect, only=["x"])
    assert report.table(perfect).row_count == len(perfect["measures"])


def test_headlines_are_measures(perfect: dict[str, Any]) -> None:
    assert set(report.HEADLINES) <= set(perfect["measures"])
    assert report.headlines(perfect) == list(report.HEADLINES)
    some = {**perfect, "measures": {"draw: scenes": perfect["measures"]["draw: scenes"]}}
    assert report.headlines(some) == ["draw: scenes"]
    with pytest.raises(DataError, match="none of the headlines"):
        report.headlines({**perfect, "measures": {}})


def test_the_command_fills_both_pages_or_says_why(
    perfect: dict[str, Any], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, readme, card = folder.parent / "out.json", tmp_path / "README.md", tmp_path / "card.md"
    page = f"a\n{report.BEGIN}\n{report.END}\nb\n"
    readme.write_text(page)

    def told(*arguments: Path) -> str:
        assert report.main(list(map(str, arguments))) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        return error

    assert "card.md" in told(results, readme, card)
    card.write_text("no marks")
    assert "card.md: the page holds no" in told(results, readme, card)
    assert readme.read_text() == page, "neither page is written"
    assert "is not JSON" in told(readme, readme, card)
    assert "no such file" in told(tmp_path / "none.json", readme, card)
    (tmp_path / "other.json").write_text('{"format": 1}')
    assert "holds no 'model'" in told(tmp_path / "other.json", readme, card)
    with pytest.raises(SystemExit):
        report.main([str(results)])
    assert "usage: python -m triptych.evaluate.report" in capsys.readouterr().err
    card.write_text(page)
    assert report.main([str(results), str(readme), str(card)]) == 0
    assert "| draw: objects" in readme.read_text()
    assert "tokenizer: PSNR" not in readme.read_text()
    assert "| tokenizer: PSNR" in card.read_text()


def test_every_measure_is_described() -> None:
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    for name, measure in suite.MEASURES.items():
        assert f"| `{name}` |" in page
        assert all((measure.task, measure.data, measure.metrics, measure.baselines))


def test_a_strange_moment_stands_out_from_the_calmest() -> None:
    """Of a clip's few maps two may be strange; the first of a shot is scored alone and doesn't count."""
    found = SimpleNamespace(strange=np.array([9.0, 1.0, 4.0, 5.0]), fresh=np.array([True, False, False, False]))
    assert clip_measures._stands_out(found) == 4


def test_a_thing_is_right_by_its_looks_and_its_box() -> None:
    looks = {"shape": "ball", "color": "red", "material": "metal", "size": "small"}
    here, near, far = ((0.0, 0.0, 0.4, 0.4), (0.1, 0.0, 0.5, 0.4), (0.3, 0.0, 0.7, 0.4))
    true = [{**looks, "box": here}]
    for told, right in (((looks, near), 1), ((looks, far), 0), (({**looks, "color": "blue"}, near), 0)):
        assert plan_measures.overlapping([{**told[0], "box": told[1]}], true) == (right, 1, 1)
    assert plan_measures.overlapping([{**looks, "box": here}] * 2, true) == (1, 2, 1)
    assert plan_measures.overlapping([], true) == (0, 0, 1)

"""Names that nobody taught: seen by pixels, told in plans, captions and answers, and understood in questions."""

import numpy as np
import pytest
import torch

from triptych.data.things import word_ids
from triptych.media import image, video
from triptych.model.verifier import Verifier
from triptych.sequence.plan import Thing
from triptych.sequence.vocab import Special
from triptych.tasks import ask, index, naming, parts, planning, telling
from triptych.tasks.common import Medium

COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 180, 30)}
SHAPES = ("box", "bar")
TAUGHT = {
    "en": ["blue bar", "blue box", "green box", "red bar", "red box"],  # no green bar
    "zh": ["红方块", "红长条", "蓝方块", "蓝长条", "绿方块"],
}
ZH = {"red": "红", "blue": "蓝", "green": "绿", "box": "方块", "bar": "长条"}
SURE = 6.0


def scene(*names):
    """A picture with these things side by side, and their boxes: boxes are square, bars wide."""
    pixels, places = np.full((64, 64, 3), 110, np.uint8), []
    for number, name in enumerate(names):
        colour, shape = name.split()
        left, wide = 2 + 31 * number, 28 if shape == "bar" else 14
        pixels[20:34, left : left + wide] = COLOURS[colour]
        places.append((left / 64, 20 / 64, (left + wide) / 64, 34 / 64))
    return pixels, places


def told(places, *names):
    return tuple(Thing(name, place) for name, place in zip(names, places, strict=False))


@pytest.fixture
def model(plain, monkeypatch):
    """The plain model with a namer that sees scenes as they are: by the colour of a box's middle, and its form."""
    inner = plain._model
    encode = inner.bundle.text.encode
    ids = {name: sorted(set().union(*(word_ids(encode, text) for text in texts))) for name, texts in TAUGHT.items()}
    verifier = Verifier(ids, TAUGHT)

    def read(picture, boxes):
        rows = []
        for left, top, right, bottom in boxes:
            pixel = picture[int(32 * (top + bottom)), int(32 * (left + right))].numpy()
            colour = next((name for name, value in COLOURS.items() if tuple(pixel) == value), None)
            shape = "bar" if right - left > 1.5 * (bottom - top) else "box"
            row = []
            for language in verifier.words:
                spoken = f"{colour} {shape}" if language == "en" else ZH.get(colour, "") + ZH[shape]
                own = verifier.target(language, word_ids(encode, spoken) if colour else ())
                row.append((2 * own - 1) * SURE)
            rows.append(torch.cat(row))
        return torch.stack(rows)

    monkeypatch.setattr(verifier, "read", read)
    monkeypatch.setattr(inner.bundle, "namer", verifier)
    monkeypatch.setattr(planning, "is_learned", lambda *asked: True)
    monkeypatch.setattr(naming, "TAUGHT", 1e3)
    return plain


def named(model, pictures, plans, language="en"):
    names = naming.by_pixels(model._model, pictures, plans, language)
    return [[thing.words for thing in names.of(things)] for things in plans]


def test_what_nobody_taught_is_called_what_its_pixels_show(model):
    pixels, places = scene("green bar", "blue box")
    assert named(model, [pixels], [told(places, "green box", "blue box")]) == [["green bar", "blue box"]]
    assert named(model, [pixels], [told(places, "red bar", "blue box")]) == [["green bar", "blue box"]]
    assert named(model, [pixels], [told(places, "green box", "green box")]) == [["green bar", "green box"]]
    assert named(model, [pixels], [told(places, "odd thing", "blue box")]) == [["odd thing", "blue box"]]
    assert named(model, [pixels], [(), ()][:1]) == [[]]
    chinese = told(places, "绿方块", "蓝方块")
    assert named(model, [pixels], [chinese], "zh") == [["绿长条", "蓝方块"]]
    assert named(model, [pixels], [chinese], "fr") == [["绿方块", "蓝方块"]]


def test_a_name_that_was_taught_must_fit_far_better(model, monkeypatch):
    """The model could have told it; one that nobody taught, it couldn't."""
    pixels, places = scene("red bar")
    for much, words in ((1e3, "red box"), (0.1, "red bar")):
        monkeypatch.setattr(naming, "TAUGHT", much)
        assert named(model, [pixels], [told(places, "red box")]) == [[words]]
    green, _ = scene("green bar")
    monkeypatch.setattr(naming, "TAUGHT", 1e3)
    assert named(model, [green], [told(places, "green box")]) == [["green bar"]]


def test_where_nothing_is_seen_nothing_is_called_otherwise(model):
    pixels, _ = scene()
    wide = (0.1, 0.1, 0.9, 0.3)
    assert named(model, [pixels], [(Thing("green box", wide),)]) == [["green box"]]


def test_all_times_of_a_clip_name_a_thing_together(model, monkeypatch):
    """A thing that is half hidden at one time is what it is at the others, whichever of them that is."""
    (bar, (wide,)), (_, (narrow,)) = scene("green bar"), scene("green box")
    for boxes, words in (([wide, wide, narrow], "green bar"), ([narrow, narrow, wide], "green box")):
        plans = [(Thing("green box", box),) for box in boxes]
        assert named(model, [bar] * 3, plans) == [[words]] * 3
    monkeypatch.setattr(naming, "UNTAUGHT", 1e3)
    assert named(model, [bar] * 3, [(Thing("green box", wide),)] * 3) == [["green box"]] * 3


def test_things_of_later_plans_keep_the_names_of_earlier_ones(model):
    pixels, places = scene("green bar", "blue box")
    names = naming.by_pixels(model._model, [pixels], [told(places, "green box", "blue box")], "en")
    later = (Thing("blue box", places[1]), Thing("green box", places[1]), Thing("red box", places[0]))
    assert [thing.words for thing in names.of(later)] == ["blue box", "green bar", "red box"]
    assert [thing.box for thing in names.of(later)] == [thing.box for thing in later]


def names_of(model, *seen, told_as):
    pixels, places = scene(*seen)
    return naming.by_pixels(model._model, [pixels], [told(places, *told_as)], "en")


def test_texts_are_put_in_other_names_and_back(model):
    names = names_of(model, "green bar", "blue box", told_as=("green box", "blue box"))
    assert names.said("[0.5s] the green box hits the blue box; the box stops") == (
        "[0.5s] the green bar hits the blue box; the box stops"
    )
    assert names.said("a  green box,\n!") == "a  green bar,\n!"
    assert names.said("the box stops") == "the box stops"  # there is a box
    assert names.said("green? as green as ever") == "green? as green as ever"
    assert names.said("the red box stops") == "the red box stops"  # of which nobody told
    assert names.heard("does the green bar hit the blue box?") == "does the green box hit the blue box?"
    assert names.heard("how many are there?") == "how many are there?"
    alike = names_of(model, "green bar", "green box", told_as=("green box", "green box"))
    assert alike.said("the green box falls") == "the green box falls"  # it may be that one
    same = names_of(model, "blue box", told_as=("blue box",))
    assert same.said(" as it  is") == " as it  is"


def test_names_of_several_segments_count_together(model):
    one = names_of(model, "green bar", told_as=("green box",))
    two = names_of(model, "blue box", told_as=("blue box",))
    for both in (one.and_of([two]), two.and_of([one])):
        assert both.said("the green box hits the blue box") == "the green bar hits the blue box"
    other = names_of(model, "green box", told_as=("green box",))
    for both in (one.and_of([other]), other.and_of([one])):  # which of them is meant?
        assert both.said("the green box falls") == "the green box falls"
    assert one.known == {("green box", 0): "green bar"}


def test_choices_stay_different(model):
    names = names_of(model, "green bar", "blue box", told_as=("green box", "blue box"))
    assert names.choices(["the green bar", "the blue box"]) == ["the green box", "the blue box"]
    assert names.choices(["green box", "green bar", "no"]) == ["green bar", "green box", "no"]
    assert names.choices(["a green box", "the green bar"]) == ["a green box", "the green box"]


class Words:
    """A tokenizer whose ids are whole words, whatever the model's are."""

    def __init__(self):
        self.known = []

    def encode(self, text):
        self.known += [word for word in text.split() if word not in self.known]
        return [self.known.index(word) for word in text.split()]

    def decode(self, ids):
        return " ".join(self.known[id_] for id_ in ids)


@pytest.mark.parametrize(
    ("pairs", "said", "told"),
    [
        ([("green box", "green bar")], "the green box falls", "the green bar falls"),
        ([("green box", "green bar")], "the box falls", "the bar falls"),  # its last word means it
        ([("green box", "red box")], "how green is it", "how green is it"),  # another single one needn't
        ([("small green box", "small red box")], "the green box falls", "the red box falls"),
        ([("green box", "red box")], "box green", "box green"),  # no name in this order
        ([("green box", "green bar"), ("red box", "green box")], "green box", "green box"),  # there is one
        ([("green box", "green bar"), ("green box", "red box")], "green box", "green box"),  # which?
        ([("green box", "green bar"), ("red box", "red bar")], "the box", "the bar"),  # whichever
        ([("old green box", "green box")], "old green box", "old green box"),  # nothing is left out
    ],
)
def test_which_phrases_are_put_otherwise(pairs, said, told):
    words = Words()
    ids = frozenset(words.encode(" ".join(name for pair in pairs for name in pair)))
    names = naming.Names(words, {(first, place): second for place, (first, second) in enumerate(pairs)}, ids)
    assert names.said(said) == told
    back = naming.Names(words, {(second, place): first for place, (first, second) in enumerate(pairs)}, ids)
    assert back.heard(said) == told


def test_a_time_at_which_nothing_is_seen_doesn_t_count(model, monkeypatch):
    namer, encode = model._model.bundle.namer, model._model.bundle.text.encode
    own = namer.target("en", word_ids(encode, "green bar"))
    hidden = torch.full_like(own, -1.0) - 40 * own  # hardly anything, and least of all what it is
    rest = torch.zeros(len(namer.words["zh"])) - 9
    looks = iter([(2 * own - 1) * SURE, hidden])
    monkeypatch.setattr(namer, "read", lambda picture, boxes: torch.cat([next(looks), rest])[None])
    pixels, places = scene("green bar")
    assert named(model, [pixels] * 2, [told(places, "green box")] * 2) == [["green bar"]] * 2


def test_data_without_languages_are_named_too(model):
    namer = model._model.bundle.namer
    for told_of in (namer.words, namer.names):
        told_of[""] = told_of.pop("en")
    read = namer.read
    namer.read = lambda *rest: read(*rest)
    assert naming._tag(model._model, "en") == ""
    assert naming._tag(model._model, "zh") == "zh"
    assert naming._tag(model._model, "fr") == ""


@pytest.fixture
def reads(model, monkeypatch):
    """The model, whose plans tell a green box and a blue box, and what it was asked and answers."""
    inner, asked = model._model, []
    pixels, places = scene("green bar", "blue box")
    plan = told(places, "green box", "blue box")
    monkeypatch.setattr(planning, "write", lambda model, rows, how: [plan] * len(rows))

    def say(prompts, *rest, together=1, **options):
        asked.extend(prompts[::together])
        return ["the green box"] * (len(prompts) // together)

    monkeypatch.setattr(inner, "say", say)
    return model, pixels, asked


def holds(model, row, text):
    ids, own = row.ids.tolist(), model._model.encode(text)
    return any(ids[place : place + len(own)] == own for place in range(len(ids)))


def test_names_of_a_clip_need_one_framing_and_none_of_its_frames(reads, monkeypatch):
    model, pixels, _ = reads
    rows, write = [], planning.write
    monkeypatch.setattr(planning, "write", lambda model, some, how: rows.extend(some) or write(model, some, how))
    monkeypatch.setattr(model._model, "framings", 2)
    model.caption(np.stack([pixels] * 9))
    assert len(rows) == 3
    assert all(Special.VIDEO in row.ids for row in rows)


def test_captions_tracks_and_plans_tell_them(reads, tmp_path):
    model, pixels, _ = reads
    clip = np.stack([pixels] * 9)
    assert model.caption(pixels).text == "the green bar"
    assert model.caption(clip).text == "the green bar"
    found = model.track(clip, ahead=0.5)
    assert [[thing.words for thing in things] for things in found.plans] == [["green bar", "blue box"]] * 4
    assert [thing.words for thing in model.plan(image=pixels).things] == ["green bar", "blue box"]
    assert [thing.words for thing in model.plan("a box", image=pixels).things] == ["green box", "blue box"]  # to come


def test_questions_are_understood_and_answered_in_them(reads, monkeypatch):
    model, pixels, asked = reads
    question = "what hits the green bar?"
    for medium in (pixels, np.stack([pixels] * 5)):
        assert model.ask(medium, question).text == "the green bar"
        assert holds(model, asked[-1], "what hits the green box?")
    assert model.ask(None, question).text == "the green box"
    assert holds(model, asked[-1], question)
    spelled = []

    def likelihood(prompts, texts):
        spelled.extend(model._model.decode(text[:-1]) for text in texts)
        return [0.0, -1.0]

    monkeypatch.setattr(model._model, "likelihood", likelihood)
    answer = model.ask(pixels, question, choices=["the green bar", "the blue box"])
    assert answer.text == "the green bar"
    assert list(answer.probabilities) == ["the green bar", "the blue box"]
    assert spelled == ["the green box", "the blue box"]


def test_a_medium_is_named_once_a_language(reads, monkeypatch):
    model, pixels, _ = reads
    seen = []
    monkeypatch.setattr(naming, "by_pixels", lambda model, pictures, plans, language: seen.append(language) or NOTHING)
    NOTHING = naming.Names(model._model.bundle.text, {("box", 0): "box"})
    asked = ["what is the green box?", "where is the red box?", "绿方块在哪？"]
    ask.ask(model._model, [*((pixels, text) for text in asked), (None, asked[0])])
    assert sorted(seen) == ["en", "zh"]
    monkeypatch.setattr(model._model, "say", lambda prompts, *rest, **options: ["2"] * len(prompts))
    ask.ask(model._model, [(pixels, "1 + 1 = ?")])
    assert len(seen) == 2  # no thing is spoken of
    bare = Medium(model._model.look([pixels[None]])[0], None)  # its pixels are not at hand
    assert not any(names.known for names in naming.of_media(model._model, [bare, None], ["en", "en"]))
    assert len(seen) == 2
    monkeypatch.setattr(planning, "is_learned", lambda *asked: False)
    assert not naming.of_media(model._model, model._model.read([pixels]), ["en"])[0].known


def test_choices_are_understood_though_the_question_names_nothing(reads, monkeypatch):
    model, pixels, _ = reads
    spelled = []
    monkeypatch.setattr(
        model._model,
        "likelihood",
        lambda prompts, texts: spelled.extend(model._model.decode(text[:-1]) for text in texts) or [0.0, -1.0],
    )
    model.ask(pixels, "?", choices=["the green bar", "the blue box"])
    assert spelled == ["the green box", "the blue box"]


def test_what_is_watched_and_indexed_is_named(reads, tmp_path):
    model, pixels, _ = reads
    inner = model._model
    assert telling.describe(inner, inner.read([pixels]), "en") == ["the green bar"]
    image.write(tmp_path / "a.png", pixels)
    entries, _ = index._read(inner, tmp_path, "a.png", "picture", ["en"])
    assert entries[0].captions == {"en": "the green bar"}


def test_a_live_source_is_not_looked_at_twice(model, tmp_path, monkeypatch):
    inner = model._model
    video.write(tmp_path / "a.mp4", np.stack([scene("green bar")[0]] * 17))
    shown = [part.medium.pixels for part in parts.parts(inner, tmp_path / "a.mp4")]
    assert [pixels.shape for pixels in shown] == [(5, 64, 64, 3)] * len(shown)
    monkeypatch.setattr(parts, "is_live", lambda path: True)
    assert [part.medium.pixels for part in parts.parts(inner, tmp_path / "a.mp4")] == [None] * len(shown)


def test_pixels_are_kept_for_a_namer_alone(model, monkeypatch):
    inner = model._model
    clip = np.stack([scene("green bar")[0]] * 9)
    (medium,) = inner.read([clip])
    np.testing.assert_array_equal(medium.pixels, clip[::4])
    assert medium.pixels.base is None  # or all frames would be kept
    monkeypatch.setattr(inner.bundle, "namer", None)
    assert inner.read([clip])[0].pixels is None

"""Pictures from parts of pictures: what is given stays, what is asked for is drawn, and a seed keeps its word."""

import json
from dataclasses import asdict, fields

import numpy as np
import pytest

import triptych
from triptych.generate.engine import UNKNOWN, Output
from triptych.media import image
from triptych.sequence.plan import parse
from triptych.tasks import canvas
from triptych.tasks.canvas import Candidate, tiles
from triptych.tasks.orders import VERBS, Order, again, order_of
from triptych.tasks.request import Request, encode
from triptych.tasks.settings import Drawing, DrawSettings, usual


@pytest.fixture(scope="module")
def model(plain):
    return plain


def codes_drawn(monkeypatch):
    """Collects every canvas that is turned into pixels."""
    seen, whole = [], canvas.Model.paint

    def paint(self, maps):
        seen.extend(np.array(codes) for codes in maps)
        return whole(self, maps)

    monkeypatch.setattr(canvas.Model, "paint", paint)
    return seen


def test_a_picture_is_completed_below_what_is_kept(model, noise, monkeypatch):
    seen, codes = codes_drawn(monkeypatch), model.codes(noise)
    two = model.complete(noise, "a red ball", keep=0.5, n=2, seed=3)
    assert len(two) == 2
    for got in seen:
        np.testing.assert_array_equal(got[:2], codes[:2])
    assert (seen[0] != seen[1]).any()
    assert (two[0].verb, two[0].inputs["keep"]) == ("complete", 0.5)
    seen.clear()
    model.complete(noise, keep=1.0)
    np.testing.assert_array_equal(seen[0], codes)
    with pytest.raises(triptych.ConfigError, match=r"keep=2"):
        model.complete(noise, keep=2)


def test_any_codes_may_be_given(model, noise, monkeypatch):
    seen, codes = codes_drawn(monkeypatch), model.codes(noise)
    holes = codes.copy()
    holes[1, 2] = holes[3, 0] = UNKNOWN
    model.complete(codes=holes, seed=1)
    differ = seen[0] != codes
    differ[1, 2] = differ[3, 0] = False
    assert not differ.any()


def test_inpainting_leaves_all_other_pixels(model, noise):
    mask = np.zeros((64, 64), bool)
    mask[20:30, 40:60] = True
    for given in ({"mask": mask}, {"box": (40, 20, 60, 30)}):
        picture = model.inpaint(noise, text="a red ball", seed=1, **given)[0]
        np.testing.assert_array_equal(picture.pixels[~mask], noise[~mask])
        assert (picture.pixels[mask] != noise[mask]).any()
    for wrong, words in (
        ({}, "a mask or a box"),
        ({"mask": np.zeros((64, 64), bool)}, "covers nothing"),
        ({"box": (40, 40, 20, 20)}, "box=40,40,20,20 covers nothing of 64x64"),
        ({"box": (70, 0, 90, 20)}, "box=70,0,90,20 covers nothing"),
        ({"mask": np.ones((32, 64), bool)}, "64x32 pixels, the picture 64x64"),
        ({"box": (1, 2, 3)}, "left, top, right"),
    ):
        with pytest.raises(triptych.ConfigError, match=words):
            model.inpaint(noise, **wrong)


def test_outpainting_adds_whole_cells_and_keeps_the_picture(model, noise):
    picture = model.outpaint(noise, "a", left=20, bottom=33)[0]
    assert picture.pixels.shape == (128, 96, 3)
    np.testing.assert_array_equal(picture.pixels[:64, 32:], noise)
    for wrong in ({}, {"left": -1}, {"right": 5000}):
        with pytest.raises(triptych.ConfigError, match=r"outpaint adds|would have"):
            model.outpaint(noise, **wrong)


def test_more_strength_draws_more_of_a_picture_anew(model, noise, monkeypatch):
    asked = []
    monkeypatch.setattr(canvas, "_prompt", lambda *a, whole=canvas._prompt: whole(*a))
    for strength in (0.0, 0.5, 1.0):
        request = VERBS["vary"][0](model._model, "", 3, DrawSettings(), image=noise, strength=strength)
        asked.append(request.codes == UNKNOWN)
    assert [cells.mean() for cells in asked] == [0, 0.5, 1]
    assert (asked[1] <= asked[2]).all()
    other = VERBS["vary"][0](model._model, "", 4, DrawSettings(), image=noise, strength=0.5)
    assert other.codes.shape == (4, 4)
    with pytest.raises(triptych.ConfigError, match=r"strength=1\.5"):
        model.vary(noise, strength=1.5)


def test_an_edit_is_guided_from_its_picture(model, noise, monkeypatch):
    seen = []
    generate = type(model._model.engine).generate

    def spy(self, prompts, plan, sampling, **given):
        seen.append((prompts[0], given["unconditional"][0]))
        return generate(self, prompts, plan, sampling, **given)

    monkeypatch.setattr(type(model._model.engine), "generate", spy)
    model.edit(noise, "make the ball green", negative="red")
    model.draw("make the ball green", images=[noise])
    (edit, without), (view, nothing) = seen
    np.testing.assert_array_equal(edit.ids, view.ids)
    ids = model._model.encode
    assert len(without) - len(ids("red")) == len(edit) - len(ids("make the ball green"))
    np.testing.assert_array_equal(without.values[:6], edit.values[:6])  # the picture stands in both
    assert len(nothing) == 3
    with pytest.raises(triptych.ConfigError, match="takes an instruction"):
        model.edit(noise, "")


def test_an_edit_keeps_the_pixels_of_codes_that_come_again(model, noise, monkeypatch):
    inner = model._model
    before = inner.look([inner.frames(noise)])[0][0].codes
    after = before.copy()
    after[0, 0] = (after[0, 0] + 1) % len(inner.grid)

    def again(self, prompts, plan, sampling, **given):
        return [Output(maps=[after], nats=[np.zeros(after.shape)]) for _ in prompts]

    monkeypatch.setattr(type(inner.engine), "generate", again)
    stride, original = inner.bundle.info.visual.stride, inner.frames(noise)[0]
    pixels = model.edit(noise, "make the ball green")[0].pixels
    changed = (pixels != original).any(2)
    assert changed[:stride, :stride].any()  # the new code
    assert changed[stride : 2 * stride, :stride].any()  # one next to it, where its shadow may lie
    assert not changed[2 * stride :].any()
    assert not changed[:, 2 * stride :].any()


def test_tiles_cover_a_map_and_overlap():
    for shape in ((14, 14), (14, 28), (20, 36), (6, 40), (14, 16)):
        covered = np.zeros(shape, int)
        for number, part in enumerate(tiles(shape, 14, 2)):
            assert all(place.start % 2 == 0 for place in part)
            assert all(place.stop - place.start == min(14, side) for place, side in zip(part, shape, strict=True))
            assert number == 0 or (covered[part] > 0).any()
            covered[part] += 1
        assert covered.all()
    assert len(tiles((14, 14), 14, 2)) == 1


def test_a_larger_picture_is_drawn_in_tiles_that_know_their_neighbours(model, monkeypatch):
    given = []
    generate = type(model._model.engine).generate

    def spy(self, *a, **k):
        given.append(k["given"][0][0].copy())
        return generate(self, *a, **k)

    monkeypatch.setattr(type(model._model.engine), "generate", spy)
    seen = codes_drawn(monkeypatch)
    picture = model.draw("a red ball", width=128, height=96, seed=2)[0]
    assert picture.pixels.shape == (96, 128, 3)
    assert seen[0].shape == (6, 8)
    assert len(given) == 6
    assert (given[0] == UNKNOWN).all()
    np.testing.assert_array_equal(given[1][:, :2], seen[0][:4, 2:4])
    assert (seen[0] >= 0).all()
    with pytest.raises(triptych.ConfigError, match=r"width=100: give a multiple of 32, such as 96"):
        model.draw("a", width=100)


def test_a_seed_draws_the_same_picture_whatever_its_batch(model, noise):
    """Alone, among others of other kinds and sizes, and guessed ahead."""
    how = DrawSettings()
    wide = how.changed({"width": 128})
    orders = [
        Order("a red ball", 6, how),
        Order("", 1, how.changed({"guidance": 1, "top_k": 5})),
        Order("a", 2, wide),
        Order("", 7, how, "vary", {"image": noise}),
        Order("一个蓝色的方块", 3, how.changed({"negative": "红色", "temperature": 0.5})),
        Order("a red ball", 6, how.changed({"decode": "speculative"})),
        *(Order("b", seed, how) for seed in range(14)),
    ]
    together = dict(model.fulfil(orders))
    assert len(together) == len(orders)
    np.testing.assert_array_equal(together[0].pixels, together[5].pixels)
    for number in range(5):
        alone = dict(model.fulfil([orders[number]]))[0]
        np.testing.assert_array_equal(alone.pixels, together[number].pixels)


def test_an_order_that_fails_doesn_t_stop_the_others(model, noise):
    bad = [Order("a", 0, DrawSettings(), "vary", {"image": "missing.png"}), Order("球" * 5000), Order(verb="vary")]
    bad += [Order("a", 0, DrawSettings(width=70)), Order("a", inputs={"mask": noise})]
    results = dict(model.fulfil([*bad, Order("a")]))
    assert [type(results[n]).__name__ for n in range(6)] == [
        "MediaError",
        "ModelError",
        *["ConfigError"] * 3,
        "Picture",
    ]


def test_the_negative_text_matters(model):
    plain = model.draw("a red ball")[0].pixels
    assert (model.draw("a red ball", negative="a blue cube")[0].pixels != plain).any()
    assert (
        model.draw("a red ball", negative="a blue cube", guidance=1)[0].pixels
        == model.draw("a red ball", guidance=1)[0].pixels
    ).all()
    assert (model.draw("a red ball", ramp=0.0)[0].pixels != plain).any()


def test_the_best_of_several_is_the_one_that_reads_best(model):
    inner = model._model
    kept = model.draw("a red ball", seed=4, best_of=5)[0]
    seeds = [4, *(canvas.derived(4, "candidate", place) for place in range(1, 5))]
    each = model.draw_many(["a red ball"] * 5, seeds, best_of=1)
    nats = inner.caption_nats([p.pixels for p in each], ["a red ball"] * 5, "en")
    np.testing.assert_array_equal(kept.pixels, each[int(np.argmax(nats))].pixels)
    assert kept.seed == 4


def test_of_a_text_alone_the_best_of_eight_is_kept(model):
    one, usual = model.draw("a red ball", best_of=8)[0], model.draw("a red ball")[0]
    np.testing.assert_array_equal(usual.pixels, one.pixels)
    assert usual.settings["best_of"] == 8
    assert Request("", 0, DrawSettings(best_of=8)).candidates == 1  # nothing tells them apart


def test_the_best_edit_is_the_one_that_guidance_finds_likeliest(model, noise, monkeypatch):
    """Not the one of which the instruction would be the likeliest caption, nor the likeliest after it unguided."""
    inner = model._model
    views = tuple(inner.read([noise]))
    request = Request("make it red", 0, DrawSettings(best_of=2, guidance=3.0), views, guided_from_views=True)
    pair = [Candidate(0, request, 0, not i, None, views[0].maps[0].codes) for i in range(2)]
    pair[1].things = parse("red ball 0 0 50 50")
    asked, laid = [], []

    def nats(prompts, maps):
        asked.append([len(prompt.finish()) for prompt in prompts])
        laid.append([prompt.finish().plans != () for prompt in prompts])
        return [np.full((4, 4), each / 16) for each in ((0, -4), (-3, -5))[len(asked) - 1]]

    monkeypatch.setattr(inner, "code_nats", nats)
    assert canvas._best(inner, pair) is pair[1]
    assert asked[0][0] < asked[1][0]  # without the instruction, then with it
    assert laid == [[False, False], [False, True]]  # and with what was planned for it


def test_the_best_filling_is_drawn_in_proportion_to_its_fit(model, monkeypatch):
    """Of two candidates with odds of 3 to 1, the first is taken in three of four seeds."""
    taken = 0
    for seed in range(400):
        request = Request("", seed, DrawSettings(best_of=2))
        pair = [Candidate(0, request, seed, not i, None, np.zeros((2, 2), int)) for i in range(2)]
        pair[0].fit, pair[1].fit = np.log(3), 0.0
        taken += canvas._best(model._model, pair) is pair[0]
    assert abs(taken / 400 - 0.75) < 0.06
    cold = Request("", 0, DrawSettings(best_of=2, temperature=0))
    pair = [Candidate(0, cold, 0, not i, None, np.zeros((2, 2), int)) for i in range(2)]
    pair[1].fit = 0.1
    assert canvas._best(model._model, pair) is pair[1]


def test_the_fit_of_a_filling_is_that_of_what_is_given(model, noise):
    """As teacher forcing finds it: the log-probability of the given codes, each after all before it."""
    inner = model._model
    codes = model.codes(noise)
    codes[0, 0] = UNKNOWN
    request = Request("a", 1, DrawSettings(guidance=1.0, temperature=1.0, top_p=1.0), codes=codes)
    candidate = next(canvas._candidates(inner, 0, request))
    canvas._draw(inner, [candidate], (slice(0, 4), slice(0, 4)), 0, 1, None, None)
    map_ = inner.look([model._model.paint([candidate.canvas])[0][None]])[0][0]
    whole = type(map_)(candidate.canvas, inner._grid[candidate.canvas], inner._grid[candidate.canvas])
    prompt = canvas.spell.draw_prompt(inner.begin(), inner.encode("a"))
    nats = inner.code_nats([prompt], [whole])[0]
    assert candidate.fit == pytest.approx(float(nats.sum() - nats[0, 0]), abs=1e-2)


def test_partial_pictures_come_line_by_line(model):
    seen = []
    picture = model.draw("a", partial=lambda number, pixels, share: seen.append((number, pixels, share)), n=2)[0]
    assert {number for number, _, _ in seen} == {0, 1}
    first = [(pixels, share) for number, pixels, share in seen if number == 0]
    assert [share for _, share in first] == [0.5]
    assert (first[0][0][32:] == canvas.BLANK).all()
    assert first[0][0].shape == picture.pixels.shape


def test_progress_reaches_its_end(model):
    seen = []
    model.draw("a", n=3, width=128, best_of=2, progress=lambda *parts: seen.append(parts))
    assert seen[-1][0] == seen[-1][1]
    assert seen == sorted(seen)


def test_texts_and_pictures_are_ranked_both_ways(model, noise):
    inner = model._model
    table = model.likelihood([noise, 255 - noise], ["a red ball", "一个红色的球", "a"])
    assert [len(row) for row in table] == [3, 3]
    match = table[1][2]
    assert match.codes == 16
    nats = inner.caption_nats([255 - noise, None], ["a", "a"], "en")
    assert match.read_bits == pytest.approx(-nats[0] / np.log(2), rel=1e-4)
    assert match.read_gain == pytest.approx((nats[0] - nats[1]) / np.log(2), abs=1e-3)
    alone = model.likelihood([255 - noise], [""])[0][0]
    assert alone.draw_gain == pytest.approx(0, abs=1e-3)
    assert alone.bits - match.bits == pytest.approx(match.draw_gain, abs=1e-3)
    json.dumps(match.as_dict())


def test_a_picture_s_bits_are_those_that_drawing_gives_it(model, noise):
    """Teacher forcing and the engine agree: all codes given, their log-probabilities sum to the same."""
    inner = model._model
    request = Request("a ball", 0, DrawSettings(guidance=1.0), codes=model.codes(noise))
    prompt = canvas._prompt(inner, "a ball", ())
    plan = [canvas.DrawMap(2, 2)]
    sampling = [canvas.Sampling()]
    out = inner.engine.generate([prompt], plan, sampling, given=[[request.codes]])[0]
    bits = model.likelihood([noise], ["a ball"])[0][0].bits
    assert -out.nats[0].sum() / np.log(2) == pytest.approx(bits, rel=1e-4)


@pytest.fixture
def any_order(model, monkeypatch):
    """The model, said to have learned `shuffle`; its weights are random anyway."""
    monkeypatch.setitem(model._model.bundle.info.bits, "shuffle bits/code", 9.0)
    return model


def test_in_any_order_a_seed_draws_the_same_alone_and_among_others(any_order):
    how = {"decode": "parallel", "passes": 2, "guidance": 2.0}
    together = any_order.draw_many(["a red ball", "a ball", ""], [3, 4, 5], **how)
    for picture in together:
        alone = any_order.draw(picture.prompt, seed=picture.seed, **how)[0]
        np.testing.assert_array_equal(alone.pixels, picture.pixels)
    others = any_order.draw_many(["a red ball", "a ball", ""], [3, 4, 5], **how | {"passes": 1})
    assert any((one.pixels != other.pixels).any() for one, other in zip(together, others, strict=True))


def test_in_any_order_what_is_given_stays_and_goes_first(any_order, noise):
    seen = []
    passes = {"decode": "parallel", "passes": 9}
    filled = any_order.inpaint(noise, box=(0, 32, 64, 64), text="a ball", seed=1, partial=_collect(seen), **passes)[0]
    np.testing.assert_array_equal(filled.pixels[:16], noise[:16])
    assert filled.settings["passes"] == 9
    assert seen
    assert all(0 < share < 1 for _, _, share in seen)


def test_in_any_order_a_canvas_does_not_hang_on_its_neighbours_canvas(any_order, noise):
    inner, settings = any_order._model, DrawSettings(decode="parallel", passes=3)
    codes = encode(inner, noise)
    much, little = codes.copy(), codes.copy()
    much[2:, 2:], little[:, 1:] = UNKNOWN, UNKNOWN
    requests = [Request("a ball", 7, settings, codes=given) for given in (much, little)]
    together = {number: pixels for number, pixels, _ in canvas.paint(inner, requests)}
    for number, request in enumerate(requests):
        ((_, alone, _),) = canvas.paint(inner, [request])
        np.testing.assert_array_equal(alone, together[number])


def _collect(seen):
    return lambda *what: seen.append(what)


def test_what_any_order_can_not_do(model, any_order, noise, monkeypatch):
    with pytest.raises(triptych.ConfigError, match="after pictures, use exact or speculative"):
        any_order.edit(noise, "make it green", decode="parallel")
    with pytest.raises(triptych.ConfigError, match="for a film use exact"):
        any_order.film("a ball rolls", decode="parallel")
    monkeypatch.delitem(model._model.bundle.info.bits, "shuffle bits/code")
    with pytest.raises(triptych.ModelError, match="has not learned to draw in any order"):
        model.draw("a ball", decode="parallel")


def test_settings_have_one_home():
    assert list(Drawing.__annotations__) == [field.name for field in fields(DrawSettings)]
    assert all(field.metadata["help"] and field.metadata["legal"] for field in fields(DrawSettings))
    assert DrawSettings().changed({"guidance": "5", "top_k": "3", "width": 64.0}) == DrawSettings(
        5.0, top_k=3, width=64
    )
    for values, words in (
        ({"guidence": 5}, "did you mean 'guidance'"),
        ({"top_k": "a"}, "top_k='a': give a whole number"),
        ({"top_k": 1.5}, r"top_k=1\.5"),
        ({"top_p": 0}, r"top_p=0\.0: give a number above 0"),
        ({"decode": "paralel"}, "exact or speculative or parallel"),
        ({"passes": 0}, "passes=0: give a whole number from 1"),
        ({"best_of": 0}, "best_of=0"),
        ({"guidance": "nan"}, "guidance=nan"),
    ):
        with pytest.raises(triptych.ConfigError, match=words):
            DrawSettings().changed(values)


def test_edits_have_defaults_of_their_own(model, noise):
    text, near = usual("draw"), usual("edit")
    assert near.temperature < text.temperature
    assert near.best_of < text.best_of
    picked = ("guidance", "temperature")
    for verb, inputs, wanted in (
        ("draw", {}, text),
        ("draw", {"images": "ball.png"}, text),
        ("edit", {"image": "ball.png"}, near),
        ("vary", {"image": "ball.png"}, text),
    ):
        order = order_of({"verb": verb, "prompt": "a ball", **inputs})
        assert [getattr(order.settings, name) for name in picked] == [getattr(wanted, name) for name in picked], verb
        assert order_of({"verb": verb, "prompt": "a ball", "guidance": 7, **inputs}).settings.guidance == 7
    assert model.edit(noise, "make the ball green")[0].settings["temperature"] == near.temperature
    assert model.draw("a ball", images=[noise])[0].settings["temperature"] == text.temperature


def test_a_picture_is_drawn_again_from_its_metadata(model, noise, tmp_path):
    image.write(tmp_path / "a.png", noise)
    first = model.vary(tmp_path / "a.png", "a ball", strength=0.75, seed=5, guidance=3)[0]
    for suffix in (".png", ".webp"):
        path = first.save(tmp_path / f"b{suffix}")
        order, drawn_by = again(path, {})
        assert drawn_by == first.model
        repeated = dict(model.fulfil([order]))[0]
        np.testing.assert_array_equal(repeated.pixels, first.pixels)
        assert repeated.metadata() == first.metadata()
    changed, _ = again(path, {"seed": 6, "strength": 0.1, "top_k": 7})
    assert (changed.seed, changed.inputs["strength"], changed.settings) == (6, 0.1, DrawSettings(3.0, top_k=7))
    image.write(tmp_path / "a.png", 255 - noise)
    with pytest.raises(triptych.ConfigError, match="is not the file any more"):
        again(path, {})
    (tmp_path / "a.png").unlink()
    with pytest.raises(triptych.ConfigError, match="is missing"):
        again(path, {})
    unnamed = model.vary(noise)[0].save(tmp_path / "c.png")
    with pytest.raises(triptych.ConfigError, match="was no file"):
        again(unnamed, {})
    image.write(tmp_path / "d.png", noise)
    with pytest.raises(triptych.ConfigError, match="keeps no record"):
        again(tmp_path / "d.png", {})


def test_views_come_again_too(model, noise, tmp_path):
    image.write(tmp_path / "a.png", noise)
    first = model.draw("b", images=[str(tmp_path / "a.png")] * 2, seed=2)[0]
    order, _ = again(first.save(tmp_path / "b.png"), {})
    np.testing.assert_array_equal(dict(model.fulfil([order]))[0].pixels, first.pixels)
    assert asdict(order)["inputs"]["images"] == (tmp_path / "a.png",) * 2


def test_a_film_goes_on_from_what_is_given(model, noise):
    plain, other = model.film("a ball rolls", n=2, seed=3)
    assert plain.frames.shape == (17, 64, 64, 3)
    assert (plain.frames != other.frames).any()
    np.testing.assert_array_equal(model.film("a ball rolls", seed=4, decode="speculative")[0].frames, other.frames)
    again = model.film("a ball rolls", start=noise, frames=9)[0]
    np.testing.assert_array_equal(again.frames[0], model.reconstruct(noise))
    assert len(again.frames) == 9
    with pytest.raises(triptych.ConfigError, match="frames=9"):
        model.film("a", start=plain.frames, frames=9)


def test_an_order_from_plain_values(tmp_path):
    order = order_of(
        {"prompt": "a", "seed": "4", "verb": "inpaint", "image": "b.png", "box": "1,2, 3,4"}, folder=tmp_path
    )
    assert (order.seed, order.inputs) == (4, {"image": tmp_path / "b.png", "box": [1, 2, 3, 4]})
    for values, words in (
        ({"verb": "inpant"}, "did you mean 'inpaint'"),
        ({"seed": -1}, "seed=-1"),
        ({"verb": "vary", "strength": "much"}, "strength='much'"),
        ({"verb": "inpaint", "box": "a,b"}, "box='a,b'"),
        ({"mask": "m.png"}, "no setting 'mask'"),
    ):
        with pytest.raises(triptych.ConfigError, match=words):
            order_of(values)

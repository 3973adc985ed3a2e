"""Settings: defaults <- recipe <- key=value, and errors that name the key."""

import pytest

from triptych.config import GPTConfig, RunConfig, VisualTokenizerConfig, load_settings
from triptych.errors import ConfigError

NEEDED = ["kind=gpt", "data=d", "out=o"]


def recipe(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_each_source_overrides_the_one_before(tmp_path):
    path = recipe(tmp_path, "kind: gpt\ndata: d\nout: o\nbatch: 5\nsteps: 7\noptim: {lr: 0.5, clip: 2}\n")
    run = load_settings(RunConfig, path, ["steps=9", "optim.lr=0.25", "mix.draw=2"])
    assert (run.batch, run.steps, run.optim.lr, run.optim.clip, run.mix) == (5, 9, 0.25, 2, {"draw": 2})
    assert (run.seed, run.optim.warmup) == (0, 100)  # defaults


@pytest.mark.parametrize(("text", "value"), [("1e-3", 1e-3), ("+2E-4", 2e-4), (".5", 0.5), ("1", 1.0)])
def test_numbers_are_read_as_people_write_them(text, value):
    assert load_settings(RunConfig, None, [*NEEDED, f"optim.lr={text}"]).optim.lr == value


def test_a_recipe_may_hold_exponents_without_a_dot(tmp_path):
    run = load_settings(RunConfig, recipe(tmp_path, "kind: gpt\ndata: d\nout: o\noptim:\n  lr: 1e-3\n"))
    assert run.optim.lr == 1e-3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stepps=3", r"unknown key 'stepps'; did you mean 'steps'"),
        ("optim.warmpu=3", r"unknown key 'optim.warmpu'; did you mean 'warmup'"),
        ("zzz=3", r"unknown key 'zzz'; valid keys: kind, data"),
        ("steps=many", r"steps='many'"),
        ("steps=1.5", r"steps=1.5"),
        ("optim.lr=-1", r"optim.lr=-1"),
        ("optim=3", r"optim=3"),
        ("gpt.depth=0", r"gpt.depth=0"),
        ("gpt.group=3", r"gpt.group=3"),
        ("kind=picture", r"kind='picture'"),
        ("seed=-1", r"seed=-1"),
        ("visual.levels=[8,1]", r"visual.levels.1=1"),
        ("visual.levels=[]", r"visual.levels"),
        ("steps", r"'steps': an override is written key=value"),
        ("prompts=[a", r"prompts=\[a"),
        ("steps.more=3", r"steps"),
    ],
)
def test_an_error_names_the_key(override, message):
    with pytest.raises(ConfigError, match=message):
        load_settings(RunConfig, None, [*NEEDED, override])


def test_a_value_is_no_group(tmp_path):
    path = recipe(tmp_path, "kind: gpt\ndata: d\nout: o\nsteps: 3\n")
    with pytest.raises(ConfigError, match="'steps' holds a value"):
        load_settings(RunConfig, path, ["steps.more=3"])


def test_all_wrong_keys_are_named_at_once():
    with pytest.raises(ConfigError, match="data is missing") as error:
        load_settings(RunConfig, None, ["kind=gpt", "stepps=1"])
    assert "out is missing" in str(error.value)
    assert "did you mean 'steps'" in str(error.value)


@pytest.mark.parametrize("content", ["- a\n- b\n", "", "just text", "a: [1", "\tx"])
def test_a_recipe_that_is_no_mapping_is_refused_by_name(tmp_path, content):
    with pytest.raises(ConfigError, match=r"recipe\.yaml"):
        load_settings(RunConfig, recipe(tmp_path, content), NEEDED)


def test_unreadable_recipes_are_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match="no such recipe"):
        load_settings(RunConfig, tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="not a readable recipe"):
        load_settings(RunConfig, tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"kind: \xff\xfe")
    with pytest.raises(ConfigError, match="not a readable recipe"):
        load_settings(RunConfig, tmp_path / "latin.yaml")


def test_values_are_checked_on_assignment_too():
    config = GPTConfig()
    with pytest.raises(ValueError, match="depth"):
        config.depth = 0


def test_sizes_follow_from_depth():
    for depth in range(1, 33):
        config = GPTConfig(depth=depth)
        assert config.width >= 48 * depth > config.width - 64
        assert config.width == 64 * config.heads
        assert config.heads % config.kv_heads == 0
        assert config.head_width % 64 == 0
        assert config.hidden >= config.width * 8 / 3
    assert VisualTokenizerConfig(levels=(4, 3)).codes == 12

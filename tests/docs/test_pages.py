"""What the pages say of commands, recipes and files is true."""

import re
from pathlib import Path

import pytest

from triptych.config import RunConfig, load_settings

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("recipe", [r for r in RECIPES if r.stem != "detector"], ids=lambda r: r.stem)
def test_each_recipe_loads_and_opens_with_its_command(recipe):
    load_settings(RunConfig, recipe)
    opening = recipe.read_text(encoding="utf-8").split("\nkind:")[0]
    assert f"triptych train recipes/{recipe.name}" in opening


def test_links_of_the_pages_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"


def test_no_file_is_larger_than_a_download_should_be():
    for path in (ROOT / "src").rglob("*"):
        if path.is_file():
            assert path.stat().st_size < 40 * 2**20, path

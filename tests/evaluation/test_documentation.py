import re
from pathlib import Path

import yaml

from evaluation.config import ExperimentConfig
from evaluation.contestants import CONTESTANTS
from evaluation.splits import RULES

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


def test_the_configuration_that_is_shown_is_valid() -> None:
    """The YAML of docs/evaluation.md is a configuration, and what it shows as defaults are the defaults."""
    shown = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(shown) == 1
    config = ExperimentConfig.model_validate(yaml.safe_load(shown[0]))
    plain = ExperimentConfig.model_validate({"dataset": config.dataset})
    assert config == plain.model_copy(update={"k": (5, 10)})


def named(heading: str) -> list[str]:
    """What the tables of a section name, in order."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def test_every_model_is_described() -> None:
    """Each model that can be named in a configuration has its row in docs/evaluation.md."""
    assert named("What is compared") == list(CONTESTANTS)


def test_every_split_is_described() -> None:
    """Each way of dividing events has its row in docs/evaluation.md."""
    assert named("How it is measured") == [rule.model_fields["kind"].default for rule in RULES]

"""`harness render`: the Rust of one variant."""

from __future__ import annotations

from pathlib import Path

import click

from harness.errors import StudyError
from harness.study.model import Level, Study


@click.command("render", epilog="Example: harness render studies/quickstart.yaml --set worker_threads=4")
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--set", "settings", multiple=True, metavar="KNOB=LEVEL", help="Lay this level over the baseline.")
def command(study: Path, settings: tuple[str, ...]) -> None:
    """Print the runtime.rs of STUDY's baseline, or of the variant that --set describes."""
    from harness import variant
    from harness.study import load
    from harness.target import render

    loaded = load(study)
    click.echo(
        render.runtime_rs(loaded, variant.of(loaded, dict(_assignment(loaded, item) for item in settings))), nl=False
    )


def _assignment(study: Study, item: str) -> tuple[str, Level]:
    """Return (knob, level) of one --set, which must name a level of the study."""
    name, equals, text = item.partition("=")
    if not equals or name not in study.knob_names:
        raise StudyError(f"--set {item}: write KNOB=LEVEL with a knob of the study: {', '.join(study.knob_names)}")
    levels = {str(level).lower(): level for level in study.knob(name).levels}
    if text.lower() not in levels:
        raise StudyError(f"--set {item}: the study gives {name} the levels {', '.join(levels)}")
    return name, levels[text.lower()]

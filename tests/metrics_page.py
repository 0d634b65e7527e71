"""The programs of docs/metrics.md as crates: every block that begins with the name of its file, and nothing else."""

import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "metrics.md"
WAYS = ("1. kit", "2. kit", "3. Without kit")
STABLE = WAYS[2]


def sections():
    """The page by the beginning of its headings; what stands before the first of them is under ""."""
    first, *others = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    return {"": first, **{text.partition("\n")[0]: text for text in others}}


def section(begins):
    (text,) = (text for heading, text in sections().items() if heading.startswith(begins))
    return text


def files(text):
    """File -> content of the blocks of Rust and TOML in `text`; one without its file's name in its first line is a fault."""
    blocks = re.findall(r"^```(?:rust|toml)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    named = [re.fullmatch(r"(?:#|//) (\S+)\n(.*)", block, re.DOTALL) for block in blocks]
    return {found[1]: found[2] for found in named}


def commands(text):
    """The blocks of shell in `text`."""
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def crate(way, folder):
    """Write the crate of one way under `folder`, with the commands that the page shows, and return its path."""
    made = folder / "my-service"
    from_page = {**files(sections()[""]), **files(section("src/runtime.rs")), **files(section(way))}
    for name, content in from_page.items():
        file = made / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    checkout = folder / "harness"
    checkout.mkdir()
    (checkout / "target_templates").symlink_to(ROOT / "target_templates")
    for command in commands(section(way)):
        subprocess.run(["sh", "-ec", command], cwd=checkout, check=True)
    # The versions that are in cargo's cache; what the crate does not need leaves the file.
    shutil.copyfile(ROOT / "target_templates" / "Cargo.lock", made / "Cargo.lock")
    subprocess.run(["cargo", "metadata", "--format-version", "1"], cwd=made, check=True, capture_output=True)
    return made

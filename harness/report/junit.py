"""junit.xml: the verdict and each guard as test cases, for what collects test results. Written once there is a verdict.

Unknown is never success: inconclusive is skipped, too few usable windows to judge is an error.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from harness.judge.verdict import Verdict
from harness.report import files, timing, words
from harness.report.read import Run

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold in any form."""


def write(run: Run) -> None:
    """Write junit.xml once the run has its verdict."""
    if run.verdict is not None:
        files.replace(run.folder.path / "junit.xml", xml(run, run.verdict))


def xml(run: Run, verdict: Verdict) -> bytes:
    """Return one test suite: a case for the verdict, a case for each guard of the tested variant."""
    taken_s = f"{timing.timing(run).wall_s:.3f}"
    cases = [_verdict(run, verdict, taken_s), *(_guard(run, row.limit, row.words, row.holds) for row in verdict.guards)]
    suite = ET.Element("testsuite", name=_plain(run.study.name), time=taken_s, timestamp=_utc(run.started))
    for kind, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(kind, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("tests", str(len(cases)))
    properties = ET.SubElement(suite, "properties")
    for name, value in (("run", run.id), ("backend", run.backend), ("harness", run.harness), ("call", verdict.call)):
        ET.SubElement(properties, "property", name=name, value=_plain(value))
    suite.extend(cases)
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return bytes(ET.tostring(suites, encoding="utf-8", xml_declaration=True)) + b"\n"


def _verdict(run: Run, verdict: Verdict, taken_s: str) -> ET.Element:
    """Return the case that fails where the tested variant is worse, as `--fail-on worse` does."""
    case = ET.Element("testcase", classname=_plain(run.study.name), name="verdict", time=taken_s)
    headline = _plain(words.headline(run))
    if not verdict.judged:
        ET.SubElement(case, "error", message=headline, type=verdict.reason_code).text = _plain(verdict.reason)
    elif verdict.call == "worse":
        ET.SubElement(case, "failure", message=headline, type=verdict.call).text = _plain(verdict.reason)
    elif verdict.call == "inconclusive":
        ET.SubElement(case, "skipped", message=headline)
    ET.SubElement(case, "system-out").text = "\n".join((headline, *map(_plain, words.evidence(run))))
    return case


def _guard(run: Run, limit: str, said: str, holds: bool) -> ET.Element:
    case = ET.Element("testcase", classname=_plain(run.study.name), name=_plain(f"guard: {limit}"), time="0")
    if not holds:
        ET.SubElement(case, "failure", message=_plain(said), type="guard")
    return case


def _plain(value: str) -> str:
    return NOT_XML.sub("\N{REPLACEMENT CHARACTER}", value)


def _utc(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")

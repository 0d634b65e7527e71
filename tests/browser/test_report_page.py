import shutil

import canned_run
import pytest
from playwright.sync_api import sync_playwright

from harness import report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = canned_run.write(tmp_path_factory.mktemp("results"), samples=300)
    report.write(made)
    return made


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, folder):
    """Open the report with every request but its own file refused; remember requests and complaints."""
    contexts = []

    def at(width, scheme="light"):
        context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.asked, page.complaints = [], []
        page.route("**/*", lambda route: (page.asked.append(route.request.url), allow(route)))
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto((folder / "report.html").as_uri())
        return page

    yield at
    for context in contexts:
        context.close()


def allow(route):
    if route.request.url.startswith("file:") and route.request.url.endswith("report.html"):
        route.continue_()
    else:
        route.abort()


def test_the_page_asks_for_nothing_but_itself_and_complains_of_nothing(opened, folder):
    page = opened(1000)

    assert ([(folder / "report.html").as_uri()], []) == (page.asked, page.complaints)


@pytest.mark.parametrize("width", [360, 700, 1000, 1920])
def test_the_page_never_scrolls_sideways(opened, width):
    page = opened(width)

    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [360, 1000])
def test_one_drawing_of_each_chart_is_shown_and_fits(opened, width):
    shown = opened(width).locator("figure.chart > div:visible svg")

    boxes = [shown.nth(at).bounding_box() for at in range(shown.count())]
    assert len(boxes) == 4
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)


def test_text_of_charts_is_readable_at_the_width_of_a_phone(opened):
    texts = "[...document.querySelectorAll('figure.chart .narrow svg text')]"
    sizes = opened(360).evaluate(f"{texts}.map(text => text.getBoundingClientRect().height)")

    assert min(size for size in sizes if size) >= 9


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_text_of_charts_stands_out_from_the_page(opened, scheme):
    page = opened(1000, scheme)
    ground = luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    texts = "[...document.querySelectorAll('.wide svg text, .grid svg text')]"
    fills = page.evaluate(f"{texts}.map(text => getComputedStyle(text).fill)")

    ratios = [contrast(luminance(fill), ground) for fill in fills]
    assert min(ratios) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_lines_stand_out_from_the_page(opened, scheme):
    page = opened(1000, scheme)
    ground = luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    strokes = page.evaluate(
        "[...document.querySelectorAll('.wide svg .mark-line path')].map(path => getComputedStyle(path).stroke)"
    )

    assert len(set(strokes)) == 2
    assert min(contrast(luminance(stroke), ground) for stroke in strokes) >= 3


def luminance(colour):
    """Relative luminance of "rgb(r, g, b)", WCAG 2.1."""
    channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)

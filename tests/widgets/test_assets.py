"""The widgets' style sheets, all of which a notebook's page has at once."""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import permutations

STATIC = files("slicer_notebook.widgets") / "static"

#: What each widget is made of besides ``common``, and the classes that its own root element may have.
WIDGETS = {
    "study_picker": ({"virtual_list", "studies", "cards", "load_queue", "add_folder", "study_table"}, {"sn-picker"}),
    "pacs_query": (
        {
            "pacs_list",
            "pacs_servers",
            "pacs_fields",
            "pacs_saved",
            "pacs_rows",
            "pacs_table",
            "pacs_transfers",
            "sign_in",
        },
        {"sn-pacs"},
    ),
    "series_thumbnails": ({"cards"}, {"sn-thumbnails"}),
    "header_tree": (set(), {"sn-header"}),
    "view_thumbnails": (set(), {"sn-views", "sn-large"}),
    "job_progress": ({"sign_in"}, {"sn-job"}),
    "node_selector": ({"virtual_list", "scene_parts"}, {"sn-ns"}),
    "scene_tree": ({"virtual_list", "scene_parts", "scene_items"}, {"sn-st"}),
    "segment_table": ({"segment_list"}, {"sn-segments"}),
    "segment_editor_panel": (
        {"numbers", "live_canvas", "slice_bar", "segment_list", "effect_palette", "effect_options"},
        {"sn-editor"},
    ),
    "volume_rendering_panel": ({"numbers"}, {"sn-render"}),
    "layout_selector": ({"scene_parts", "layout_drawing"}, {"sn-ls"}),
}


def read(name: str, kind: str) -> str:
    place = STATIC / f"{name}.{kind}"
    return place.read_text(encoding="utf-8") if place.is_file() else ""


def styled_everywhere(name: str) -> set[str]:
    """Classes that a sheet styles wherever they are in the page, not below the widget's own root alone."""
    roots = WIDGETS[name][1] if name in WIDGETS else set()
    text = re.sub(r"/\*.*?\*/", "", read(name, "css"), flags=re.DOTALL)
    selectors = [each.strip() for found in re.findall(r"([^{}]+)\{", text) for each in found.split(",")]
    last = (re.findall(r"\.(sn-[\w-]+)", each) for each in selectors if not each.startswith("@"))
    return {classes[-1] for classes in last if classes and not roots.intersection(classes)}


def used(name: str) -> set[str]:
    texts = (read(part, kind) for part in (name, *WIDGETS[name][0]) for kind in ("js", "css"))
    return {found for text in texts for found in re.findall(r"(?<![\w-])sn-[a-z][\w-]*", text)}


def used_by_common() -> set[str]:
    """Classes of ``common.css`` itself, which all have alike and may fit below their own elements."""
    return set(re.findall(r"\.(sn-[\w-]+)", read("common", "css")))


def test_no_widgets_sheet_styles_what_another_widget_has() -> None:
    shared = used_by_common()
    for one, other in permutations(WIDGETS, 2):
        own = {one, *WIDGETS[one][0]} - {other, *WIDGETS[other][0]}
        clash = {each for part in own for each in styled_everywhere(part)} & used(other) - shared
        assert not clash, f"{one}'s style sheet changes {sorted(clash)} of {other}"

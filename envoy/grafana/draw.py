#!/usr/bin/env python3
"""Draws the dashboard as an SVG from what a real Prometheus answered: draw.py RUN.json > dashboard.svg

RUN.json is what tests/visible/dashboard.rs keeps of a run; `make dashboard` does both.
"""

import html
import json
import math
import os
import re
import sys

COLUMN, LINE, GAP = 60, 26, 8  # pixels of Grafana's grid
MARGIN, HEAD = 16, 64
FONT = "system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"
INK, GREY, FAINT, EDGE = "#1f2933", "#6b7683", "#e9ecef", "#dde1e6"

# What a word means is its colour, wherever it stands: green went on, blue was known before, orange was
# refused, red is trouble.
MEANING = {
    "allowed": "#3d9a5f", "public": "#8cc9a1", "anonymous": "#b9dfc6", "fetched": "#3d9a5f", "accepted": "#3d9a5f",
    "preflight": "#cfe8d8", "asked": "#3d9a5f", "joined": "#8cc9a1", "remembered": "#3a78c2", "shared": "#8db5e2",
    "unauthenticated": "#f0b95c", "denied": "#e58a3c", "forbidden": "#c96f2e", "no_rule": "#9c8f85",
    "closed": "#c9c1ba", "rate_limited": "#9a6fc0", "stale": "#c9453a", "auth_unavailable": "#c9453a",
    "failed_open": "#e2847b", "connect_failure": "#c9453a", "breaker_open": "#8e2b22", "reset": "#e2847b",
    "rejected": "#c9453a", "taken": "#8cc9a1", "timeout": "#e2847b", "2xx": "#3d9a5f", "4xx": "#f0b95c", "5xx": "#c9453a",
}
OTHERS = ["#3a78c2", "#3d9a5f", "#e58a3c", "#9a6fc0", "#2aa0a4", "#c9453a", "#8a7a3b", "#d06a9e", "#6b7683", "#7fb04f"]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    with open(sys.argv[1], encoding="utf-8") as file:
        run = json.load(file)
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "dashboards", "meshgate.json"), encoding="utf-8") as file:
        dashboard = json.load(file)
    sys.stdout.write(draw(dashboard, run))


def draw(dashboard, run):
    answers = {one["panel"]["id"]: one["series"] for one in run["panels"]}
    ends = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    width, height = 24 * COLUMN + 2 * MARGIN, HEAD + ends * LINE + MARGIN
    seconds = round(run["to"] - run["from"])
    away = [round(at - run["from"]) for at in run["away"]]
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="{FONT}" font-size="11" fill="{INK}">',
        f'<title>{html.escape(dashboard["title"])}: the dashboard, drawn from a real Prometheus</title>',
        f'<rect width="100%" height="100%" fill="#f3f4f6"/>',
        text(MARGIN, 30, dashboard["title"], size=20, weight=650),
        text(MARGIN, 49, f"{seconds} seconds of a real Envoy and a real Prometheus, minutes of the rules as seconds", GREY, size=12),
        f'<rect x="{width - MARGIN - 336}" y="22" width="14" height="14" rx="2" fill="#c9453a" opacity=".16"/>',
        text(width - MARGIN - 316, 33, f"the auth service is stopped, from {clock(away[0])} to {clock(away[1])}", GREY, size=12),
    ]
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        x, y = MARGIN + place["x"] * COLUMN, HEAD + place["y"] * LINE
        w, h = place["w"] * COLUMN - GAP, place["h"] * LINE - GAP
        if place["x"] + place["w"] == 24:
            w += GAP
        if panel["type"] == "row":
            out.append(text(x, y + 17, panel["title"], size=13, weight=650))
            continue
        out.append(f'<g><title>{html.escape(panel["description"])}</title>')
        out.append(f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="5" fill="#fff" stroke="{EDGE}"/>')
        out.append(text(x + 12, y + 19, panel["title"], weight=600, size=12))
        series = named(answers[panel["id"]])
        kind = stat if panel["type"] == "stat" else chart
        out += kind(panel, series, run, (x, y, w, h))
        out.append("</g>")
    return "\n".join([*out, "</svg>", ""])


def named(answers):
    """(legend, {time: value}) of all series; those of one legend are one."""
    found = {}
    for answer in answers:
        for one in answer["result"]:
            legend = re.sub(r"{{(\w+)}}", lambda word: one["metric"].get(word[1], ""), answer["legend"])
            points = {time: float(value) for time, value in one["values"]}
            found.setdefault(legend, {}).update({t: v for t, v in points.items() if math.isfinite(v)})
    return list(found.items())


def stat(panel, series, run, box):
    x, y, w, h = box
    unit = panel["fieldConfig"]["defaults"]["unit"]
    by_name = panel["options"]["textMode"] == "name"
    said = [legend if by_name else told(points[max(points)], unit) for legend, points in series if points]
    red = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"] if step["value"]]
    last, most = (max((of(points) for _, points in series if points), default=0) for of in (
        lambda points: points[max(points)], lambda points: max(points.values())))
    colour = "#c9453a" if red and last >= red[0] else "#2b7d4a"
    rows = [text(x + 12, y + h - 24, ", ".join(dict.fromkeys(said)), colour, size=24, weight=600)]
    if red:
        rows.append(text(x + 12, y + h - 8, f"{most:.0f} at most in this run", GREY, size=10))
    return rows


def chart(panel, series, run, box):
    x, y, w, h = box
    defaults = panel["fieldConfig"]["defaults"]
    stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    unit = defaults["unit"]
    left, right, top, foot = x + 52, x + w - 12, y + 30, y + h - 40
    begin, end = run["from"], run["to"]
    times = sorted({time for _, points in series for time in points})
    # Those with most stand at the bottom of a stack, and first in the legend.
    series.sort(key=lambda one: -sum(one[1].values()))
    layers, floor = [], dict.fromkeys(times, 0.0)
    for legend, points in series:
        if stacked:
            upper = {time: floor[time] + points.get(time, 0.0) for time in times}
            layers.append((legend, upper, dict(floor)))
            floor = upper
        else:
            layers.append((legend, points, None))
    most = max((value for _, points, _ in layers for value in points.values()), default=0.0)
    steps = ticks(most or 1.0, whole=defaults.get("decimals") == 0, unit=unit)
    ceiling = steps[-1]

    def at(time):
        return left + (time - begin) / (end - begin) * (right - left)

    def up(value):
        return foot - value / ceiling * (foot - top)

    away = [min(max(time, begin), end) for time in run["away"]]
    out = [f'<rect x="{at(away[0]):.1f}" y="{top}" width="{at(away[1]) - at(away[0]):.1f}" height="{foot - top}" fill="#c9453a" opacity=".08"/>']
    for value in steps:
        out.append(f'<path d="M{left} {up(value):.1f}H{right}" stroke="{FAINT}"/>')
        out.append(text(left - 6, up(value) + 3.5, told(value, unit), GREY, size=10, anchor="end"))
    for second in range(0, int(end - begin) + 1, 30):
        out.append(text(at(begin + second), foot + 14, clock(second), GREY, size=10, anchor="middle"))
    taken = iter(OTHERS)
    legend_x, legend_y, more = left - 40, y + h - 11, 0
    for legend, points, below in layers:
        colour = MEANING.get(legend.split(": ")[-1]) or next(taken, GREY)
        for stretch in stretches(times if stacked else sorted(points)):
            upper = [f"{at(time):.1f} {up(points[time]):.1f}" for time in stretch]
            if below is not None:
                lower = [f"{at(time):.1f} {up(below[time]):.1f}" for time in reversed(stretch)]
                out.append(f'<path d="M{"L".join(upper + lower)}Z" fill="{colour}" opacity=".78"/>')
            else:
                out.append(f'<path d="M{"L".join(upper)}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round"/>')
        wide = 24 + 6.3 * len(legend)
        if legend_x + wide > right or more:
            more += 1
            continue
        out.append(f'<rect x="{legend_x}" y="{legend_y - 7}" width="10" height="{8 if stacked else 3}" rx="1.5" fill="{colour}" transform="translate(0 {0 if stacked else 3})"/>')
        out.append(text(legend_x + 14, legend_y, legend, "#48525d", size=10))
        legend_x += wide
    if not layers:
        out.append(text((left + right) / 2, (top + foot) / 2, "none in this run", GREY, anchor="middle"))
    if more:
        out.append(text(right, legend_y, f"+{more}", GREY, size=10, anchor="end"))
    return out


def stretches(times):
    """Runs of points without a gap."""
    runs = []
    for time in times:
        if runs and time - runs[-1][-1] < 3:
            runs[-1].append(time)
        else:
            runs.append([time])
    return [run for run in runs if len(run) > 1]


def ticks(most, whole, unit):
    base = 1024 if unit == "bytes" else 10
    scale = base ** math.floor(math.log(most, base)) if most >= 1 or base == 10 else 1
    for step in (0.1, 0.2, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if base == 1024 else (0.2, 0.25, 0.5, 1, 2, 2.5, 5):
        size = step * scale
        if whole and size < 1:
            continue
        if most / size <= 4:
            break
    return [size * n for n in range(max(math.ceil(most / size), 1) + 1)]


def told(value, unit):
    if unit == "percentunit":
        return f"{value * 100:.3g} %" if 0 < value < 0.9995 else f"{value * 100:.0f} %"
    if unit == "s":
        return f"{value * 1000:.3g} ms" if 0 < value < 1 else f"{value:.3g} s"
    if unit == "bytes":
        for name in ("B", "KiB", "MiB", "GiB"):
            if value < 1024 or name == "GiB":
                return f"{value:.3g} {name}"
            value /= 1024
    short = f"{value:.3g}" if value < 1000 else f"{value / 1000:.3g}k"
    return f"{short} /s" if unit == "reqps" else short


def clock(second):
    return f"{second // 60}:{second % 60:02}"


def text(x, y, words, colour=INK, size=11, weight=None, anchor=None):
    more = (f' font-weight="{weight}"' if weight else "") + (f' text-anchor="{anchor}"' if anchor else "")
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}"{more}>{html.escape(words)}</text>'


if __name__ == "__main__":
    main()

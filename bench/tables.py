"""What compare.py prints: tables per family, then the sums. Works on the JSON alone, so report.py uses it too."""

from __future__ import annotations

import statistics

from quiet import QUIET_OTHERS

try:
    from tabulate import tabulate
except ModuleNotFoundError as error:
    raise SystemExit(f"{error.name} is missing: install the bench extra: pip install '.[bench]'") from None

LEVEL = 0.97  # a ratio from here on counts as level
OF_LIMIT = 0.90  # so does a case at this share of the machine's limit, measured in the same run
LARGE_BYTES = 2**26  # cases that move this much are bound by memory here: their bandwidth is shown
NOT_PEERS = ("fastact", "limit")


def median(turns: list[dict]) -> float:
    return statistics.median(turn["seconds"] for turn in turns)


def best(turns: list[dict]) -> float:
    return min(turn["best"] for turn in turns)


def peers(case: dict) -> dict[str, list[dict]]:
    return {name: turns for name, turns in case["turns"].items() if name not in NOT_PEERS}


def fastest_peer(case: dict) -> str | None:
    found = peers(case)
    return min(found, key=lambda name: median(found[name])) if found else None


def side_by_side(case: dict, above: str, below: str) -> float | None:
    """Median over the rounds of the ratio of two libraries' times in the same round."""
    first = {turn["round"]: turn["seconds"] for turn in case["turns"].get(above, [])}
    second = {turn["round"]: turn["seconds"] for turn in case["turns"].get(below, [])}
    rounds = first.keys() & second.keys()
    return statistics.median(first[r] / second[r] for r in rounds) if rounds else None


def ratio(case: dict) -> float | None:
    """How many times faster fastact is than the fastest peer; above 1 it is faster."""
    peer = fastest_peer(case)
    return side_by_side(case, peer, "fastact") if peer else None


def best_ratio(case: dict) -> float | None:
    found = peers(case)
    if not found or "fastact" not in case["turns"]:
        return None
    return min(best(turns) for turns in found.values()) / best(case["turns"]["fastact"])


def share(case: dict) -> float | None:
    """Of the limit: what moving the same bytes takes, over what fastact takes."""
    return side_by_side(case, "limit", "fastact")


def moved(case: dict) -> int:
    return case["elements"] * case["itemsize"] * (case["reads"] + case["writes"])


def is_level(case: dict) -> bool:
    """At least LEVEL, or bound by the machine. A peer that beats our measured limit is the better measure of it."""
    value = ratio(case)
    return value is None or value >= LEVEL or min(value, share(case) or 0) >= OF_LIMIT


def text(report: dict) -> str:
    about = report["about"]
    lines = [
        f"{about['machine']}, {about['cpus']} CPUs, Python {about['python']}, {about['when']}",
        f"threads {about['threads']}, {about['rounds']} rounds, " + ("new outputs" if about["fresh"] else "out="),
        *(f"  {said}" for said in about["libraries"].values()),
    ]
    for family in dict.fromkeys(case["family"] for case in report["cases"]):
        lines += ["", family, _table([case for case in report["cases"] if case["family"] == family])]
    return "\n".join([*lines, "", *summary(report)])


def _table(cases: list[dict]) -> str:
    names = list(dict.fromkeys(name for case in cases for name in case["turns"] if name not in NOT_PEERS))
    rows = []
    for case in cases:
        turns = case["turns"]
        times = [_microseconds(turns.get(name)) for name in ("fastact", *names)]
        ratios = [_number(ratio(case)), _number(best_ratio(case)), _percent(share(case))]
        cores = [_busy(turns.get("fastact")), f"{case['others']:.1f}" if "others" in case else "?"]
        rows.append([case["name"], *times, fastest_peer(case) or "no peer", *ratios, *cores])
    head = ["case, us", "fastact", *names, "fastest peer", "ratio", "of minima", "of limit", "cores", "others"]
    return tabulate(rows, head, disable_numparse=True, colalign=["left", *["right"] * (len(head) - 1)])


def _microseconds(turns: list[dict] | None) -> str:
    if not turns:
        return "-"
    value = median(turns) * 1e6
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}".replace(",", " ")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def _busy(turns: list[dict] | None) -> str:
    return f"{statistics.median(turn['cores'] for turn in turns):.1f}" if turns else "-"


def summary(report: dict) -> list[str]:
    cases = report["cases"]
    ratios = [(case, value) for case in cases if (value := ratio(case)) is not None]
    lines = []
    if ratios:
        values = [value for _, value in ratios]
        below = [(case, value) for case, value in ratios if value < 1]
        lines += [
            f"{len(values)} cells: geometric mean {statistics.geometric_mean(values):.2f}, least {min(values):.2f}; "
            f"{len(below)} below 1, {sum(value < LEVEL for value in values)} below {LEVEL}, "
            f"{sum(not is_level(case) for case, _ in ratios)} of these not at {OF_LIMIT:.0%} of the machine's limit"
        ]
        below.sort(key=lambda pair: pair[1])
        lines += [f"  {value:.2f} {case['name']} ({fastest_peer(case)})" for case, value in below]
    lines += _bandwidth(cases) + _axis(cases) + _cores(cases)
    alone = [case["name"] for case in cases if "fastact" in case["turns"] and not peers(case)]
    lines += [f"no peer has it: {', '.join(alone)}"] if alone else []
    lines += report["notes"]
    lines += [
        f"{name}: {case['name']}: {text.strip().splitlines()[-1]}"  # of a traceback, the error; the rest is in the JSON
        for case in cases
        for name, text in case["problems"].items()
    ]
    return lines


def _bandwidth(cases: list[dict]) -> list[str]:
    lines = []
    for title, streams in (("read", (1, 0)), ("copy (read + write, ordinary stores)", (1, 1))):
        found = [case for case in cases if (case["reads"], case["writes"]) == streams and "limit" in case["turns"]]
        found = [case for case in found if moved(case) >= LARGE_BYTES * sum(streams) / 2]
        if found:
            rates = [moved(case) / median(case["turns"]["limit"]) / 1e9 for case in found]
            shares = [100 * value for case in found if (value := share(case)) is not None]
            reach = f"; fastact's cases reach {min(shares):.0f} to {max(shares):.0f} %" if shares else ""
            lines.append(f"{title} bandwidth {statistics.median(rates):.1f} GB/s{reach}")
    return lines


def _axis(cases: list[dict]) -> list[str]:
    """Per element, what a class axis that is not last costs beside the same numbers with it last."""
    lines = []
    for case in cases:
        if case["axis"] == -1 or "fastact" not in case["turns"]:
            continue
        same = ("function", "dtype", "elements")
        for last in cases:
            if last["axis"] == -1 and all(last[k] == case[k] for k in same) and "fastact" in last["turns"]:
                times = median(last["turns"]["fastact"]) / median(case["turns"]["fastact"])
                lines.append(f"{case['name']}: {times:.2f} times the speed of {last['name']}")
    return lines


def _cores(cases: list[dict]) -> list[str]:
    """Cores that each library kept busy in its longest cases: whether its thread count is what was asked for."""
    busy: dict[str, float] = {}
    for case in cases:
        for name, turns in case["turns"].items():
            busy[name] = max(busy.get(name, 0.0), statistics.median(turn["cores"] for turn in turns))
    known = [case["others"] for case in cases if "others" in case]
    noisy = sum(others > QUIET_OTHERS for others in known)
    return [
        f"{noisy} of {len(known)} cases were measured while other processes kept more than {QUIET_OTHERS} cores busy",
        "cores kept busy at most: " + ", ".join(f"{name} {value:.1f}" for name, value in busy.items()),
        "turns disturbed even when repeated: " + ", ".join(f"{name} {_disturbed(cases, name):.0%}" for name in busy),
    ]


def _disturbed(cases: list[dict], name: str) -> float:
    """Share of a library's turns in which tasks waited for a CPU a fifth of the time or more."""
    turns = [turn for case in cases for turn in case["turns"].get(name, [])]
    return sum(turn["stalled"] > 0.2 for turn in turns) / len(turns)


def exit_code(report: dict) -> int:
    """1 if fastact failed or gave a wrong result anywhere, or was not there at all."""
    failed = any("fastact" in case["problems"] for case in report["cases"])
    return int(failed or not any("fastact" in case["turns"] for case in report["cases"]))

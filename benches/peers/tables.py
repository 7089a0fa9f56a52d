"""The tables of BENCHMARKS.md, of what scripts/bench-peers measured."""

import statistics
import textwrap

from machine import DISTURBED, disturbed
from programs import EPOCHS, FEW_STEPS, NAMES, NETS, PEERS

PRODUCTS = {
    "forward 128x512x784": "128x512x784",
    "dW 784x512x128": "784x512x128, a transposed",
    "dX 128x784x512": "128x784x512, b transposed",
    "square 512x512x512": "512x512x512",
    "square 1024x1024x1024": "1024x1024x1024",
}


def table(columns, rows):
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


class Results:
    """What was measured, for the tables."""

    def __init__(self, results):
        self.machine, self.rows = results["machine"], results["rows"]

    def of(self, what, name):
        """By round, those that did not fail."""
        found = (r for r in self.rows if (r["what"], r["name"]) == (what, name) and "failed" not in r)
        return {row["round"]: row for row in found}

    def names(self, what, device):
        there = {row["name"] for row in self.rows if row["what"] == what}
        return [peer.name for peer in PEERS if peer.name in there and peer.device == device]


def prose(text):
    """In lines as long as the rest of the page's."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def median(rounds, value, digits=0):
    """Over the rounds; marked where one of them was disturbed."""
    mark = "*" if any(map(disturbed, rounds.values())) else ""
    return f"{statistics.median(map(value, rounds.values())):,.{digits}f}{mark}"


def ratio(kiln, other, value):
    """Kiln's value over the other's, the median over the rounds that both have."""
    both = [value(kiln[number]) / value(row) for number, row in other.items() if number in kiln]
    return f"{statistics.median(both):.2f}" if both else "-"


def title(name, rounds):
    return f"{NAMES[name].title} {next(iter(rounds.values()))['version']}"


def step_time(row):
    return row["us_per_step"]


def training_row(name, batch, rounds, kiln):
    if not rounds:
        return [NAMES[name].title, "failed", *["-"] * 7]
    first = [rounds[number]["first_step_ms"] for number in sorted(rounds)]
    cold, later = (first[:1], first[1:]) if 1 in rounds else ([], first)
    milliseconds = lambda times: f"{statistics.median(times):,.0f} ms" if times else "-"
    accuracies = [row["accuracy"] for row in rounds.values() if row["accuracy"] is not None]
    others = [row["others"] for row in rounds.values() if row["others"] is not None]
    return [
        title(name, rounds),
        median(rounds, step_time),
        median(rounds, lambda row: batch * 1e6 / step_time(row)),
        ratio(kiln, rounds, step_time),
        milliseconds(cold),
        milliseconds(later),
        f"{statistics.median(row['rss_mb'] for row in rounds.values()):,.0f} MB",
        f"{statistics.median(accuracies):.4f}" if accuracies else "-",
        f"{max(others):.2f}" if others else "not known",
    ]


def training_table(results, what, device):
    kiln, batch = results.of(what, f"kiln-{device}"), NETS[what].batch
    columns = ["", "us a step", "samples/s", "Kiln's time / its", "first step, cold", "later", "peak memory"]
    rows = [training_row(name, batch, results.of(what, name), kiln) for name in results.names(what, device)]
    return table([*columns, "test accuracy", "others"], rows)


def products_table(results, device):
    rounds = {name: results.of("products", name) for name in results.names("products", device)}
    rounds = {name: of for name, of in rounds.items() if of}
    kiln, rows = rounds.get(f"kiln-{device}", {}), []
    for product, shown in PRODUCTS.items():
        rate = lambda row: row["products"][product]
        cells = [median(of, rate, 1) for of in rounds.values()]
        others = [f" ({ratio(kiln, of, rate)})" if kiln and of is not kiln else "" for of in rounds.values()]
        rows.append([shown, *map("".join, zip(cells, others))])
    return table(["", *(title(name, of) for name, of in rounds.items())], rows)


def products_part(results, device):
    how = "f32; rows x columns x the extent summed over."
    kiln = results.of("products", f"kiln-{device}")
    if kiln:
        peak = median(kiln, lambda row: row["peak"])
        how += f" In brackets Kiln's rate over this one's. The peak of multiply-adds, by `kiln bench`: {peak} GFLOP/s."
    return [prose(how), products_table(results, device)]


def head(machine, rounds):
    figures = f"Medians of {rounds} rounds" if rounds > 1 else "Figures of one round"
    return (
        f"{machine['processor']}, {machine['threads']} threads, {machine['system']}, {machine['date']}; "
        f"Python {machine['python']}; load {machine['load']} at the start. "
        f"{figures}, each of which runs every program once. `others`: the CPU-seconds a second that everybody else "
        f"used, at most; a figure with * had more than {DISTURBED}. To repeat it: `scripts/bench-peers`."
    )


def notes(results):
    there = {row["name"] for row in results.rows}
    lines = [prose(f"- {peer.title} {peer.note}.") for peer in PEERS if peer.note and peer.name in there]
    steps = results.machine.get("steps")
    if steps and any(NAMES[name].device == "gpu" and not name.startswith("kiln") for name in there):
        lines.append(f"- On the software adapter peers run {EPOCHS} epochs of {steps} steps; Kiln runs whole epochs.")
    if any(row["what"] in NETS and not NETS[row["what"]].hidden for row in results.rows):
        steps = ", ".join(f"{steps} ({where})" for where, steps in FEW_STEPS.items())
        lines.append(prose(
            f"- Of the nets of convolutions and of sequences peers run {EPOCHS} epochs of so many steps: {steps}. Kiln's are timed by "
            "`kiln bench --model NAME --round-ms 3000`, on samples of its own; peers have random ones for `lstm50` and `transformer`."
        ))
    return "\n".join(lines)


def report(results):
    """All that stands between the markers."""
    rounds = max((row["round"] for row in results.rows), default=0)
    parts = [prose(head(results.machine, rounds))]
    places = {"cpu": "the CPU"}
    adapter = results.machine["adapter"]
    if adapter:
        places["gpu"] = f"{adapter['name']}, {adapter['type']}, driver {adapter['driver']}"
    for name, net in NETS.items():
        for device, place in places.items():
            if results.names(name, device):
                title = f"### {name}, {net.optimizer}, batch {net.batch}: {place}"
                parts += [title, training_table(results, name, device)]
    for device, place in places.items():
        if results.names("products", device):
            parts += [f"### Matrix products, GFLOP/s: {place}", *products_part(results, device)]
    return "\n\n".join([*parts, notes(results)]).rstrip() + "\n"

"""What compression costs, out of the folders that run.sh fills: accuracies, and differences prompt by prompt.

Runs of one model and task answer the same prompts, so that settings of different runs are compared as those of one.
Intervals: clusters.py, prompts about one needle and prompts at one length and depth being alike.
"""
import json
from collections import defaultdict
from statistics import mean

from clusters import interval

NAMES = {
    "full": "full cache", "streaming_llm": "StreamingLLM", "h2o": "H2O", "scissorhands": "Scissorhands",
    "snapkv": "SnapKV", "pyramidkv": "PyramidKV", "adakv": "AdaKV", "ada_pyramidkv": "Ada-PyramidKV",
    "headkv": "HeadKV", "dililazykv": "DiliLazyKV", "dililazykv_variance": "DiliLazyKV, variance form", "lukv": "LU-KV",
}


class Answers:
    """Accuracy of each setting on each prompt of a run."""

    def __init__(self, folder):
        self.accuracy, self.alike = defaultdict(dict), {}
        path = folder / "answers.jsonl"
        self.there = path.exists()
        for line in path.read_text().splitlines() if self.there else []:
            answer = json.loads(line)
            if "failed" in answer:
                continue
            # Of other tasks every prompt is about something of its own.
            about = answer["group"] if answer["depth"] is not None else answer["id"]
            self.alike[answer["id"]] = about, (answer["prompt_tokens"], answer["depth"])
            values = answer["values"]
            method = ":".join(filter(None, [answer["method"], answer.get("head_score")]))
            self.accuracy[method, answer["budget_tokens"]][answer["id"]] = next(iter(values.values()))


def name(method):
    base, _, vatp = method.partition("+")
    return NAMES[base] + (" with VATP" if vatp else "")


def ends(values, alike):
    """The interval of the mean of values, by prompt."""
    about, places = zip(*(alike[prompt] for prompt in values))
    return interval(list(values.values()), about, places)


def percent(values, alike):
    low, high = (min(max(end, 0), 1) for end in ends(values, alike))
    return f"{100 * mean(values.values()):.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def difference(values, base, alike):
    """`+3.1 [0.2, 6.0]` of values less base, in points; in bold where the interval is without 0."""
    both = {prompt: values[prompt] - base[prompt] for prompt in values if prompt in base}
    # Of two runs the shorter may have fewer repetitions.
    assert len(both) == min(len(values), len(base)), "not the same prompts"
    low, high = ends(both, alike)
    text = f"{100 * mean(both.values()):+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
    return f"**{text}**" if low > 0 or high < 0 else text


def accuracies(table, answers):
    """A row for each method, a column for each budget; bold where it is not SnapKV's at that budget."""
    budgets = sorted({b for _, b in answers.accuracy if b})
    rows = []
    for method in dict.fromkeys(m for m, _ in answers.accuracy):
        row = [name(method)]
        for budget in budgets if method != "full" else [None]:
            values = answers.accuracy[method, budget]
            base = answers.accuracy.get(("snapkv", budget))
            cell = percent(values, answers.alike)
            apart = base and method != "snapkv" and difference(values, base, answers.alike).startswith("*")
            row.append(f"**{cell.replace(' ', '** ', 1)}" if apart else cell)
        rows.append(row + [""] * (len(budgets) + 1 - len(row)))
    prompts = len(next(iter(answers.accuracy.values())))
    table([f"method (n = {prompts})", *budgets], rows)


def differences(table, pairs, budgets):
    """A row for each (title, answers, method, base answers, base method): the difference at each budget."""
    rows = []
    for title, (answers, method, base, base_method) in pairs:
        if not (answers.there and base.there):
            continue
        cells = []
        for budget in budgets:
            budget, base_budget = budget if isinstance(budget, tuple) else (budget, budget)
            values, other = answers.accuracy.get((method, budget)), base.accuracy.get((base_method, base_budget))
            cells.append(difference(values, other, answers.alike) if values and other else "")
        rows.append([title, *cells])
    if rows:
        table(["", *budgets], rows)


def report(out, table):
    def of(run):
        return Answers(out / run)

    for run, title in [("s-evaluate", "SmolLM2, needles"), ("q-evaluate", "Qwen, needles"),
                       ("s-others", "SmolLM2, needles"), ("q-babilong", "Qwen, stories"), ("s-ruler", "SmolLM2, RULER"),
                       ("s-longbench", "SmolLM2, multi_news")]:
        answers = of(run)
        if answers.there:
            print(f"## {title}\n")
            accuracies(table, answers)
    first, inf = of("s-evaluate"), of("s-inf")
    print("## What the budgets follow: SmolLM2, against the same method with retrieval_reasoning\n")
    pairs = [(f"{name(m)}, {score}", (of(run), m, first, m)) for m in ("headkv", "dililazykv")
             for score, run in [("inf", "s-inf"), ("retrieval", "s-retrieval")]]
    differences(table, pairs, [64, 128, 256])
    print("## Others, against HeadKV with the scores of inf\n")
    pairs = [(name(m), (inf, m, inf, "headkv"))
             for m in ("dililazykv", "dililazykv_variance", "lukv", "ada_pyramidkv")]
    differences(table, pairs, [64, 128, 256])
    print("## beta, scores of inf, against its own beta, 1.351\n")
    pairs = [(f"DiliLazyKV, beta {beta}", (of(f"s-beta-{beta}"), "dililazykv", inf, "dililazykv"))
             for beta in ("1.005", "1.01", "1.1", "1.2", "1.5", "2", "5", "10")]
    differences(table, pairs, [64, 128])
    print("## Lists of query heads, against lists of KV heads: the same number for each; the same memory\n")
    pairs = [(name(m), (of("s-query-head"), m, first, m)) for m in ("snapkv", "adakv", "headkv", "dililazykv")]
    differences(table, pairs, [(128, 128), (43, 128)])
    print("## VATP, against the same method without\n")
    plain = of("s-vatp")
    runs = [("4 sinks, l1", "s-vatp"), *((f"{n} sinks, l1", f"s-vatp-sinks-{n}") for n in (0, 20, 40)),
            *((f"4 sinks, {n}", f"s-vatp-{n}") for n in ("off", "projected"))]
    pairs = [(f"{NAMES[m]}: {title}", (of(run), f"{m}+vatp", plain, m)) for m in ("snapkv", "h2o", "scissorhands")
             for title, run in runs if m == "snapkv" or run == "s-vatp"]
    differences(table, pairs, [64, 512])
    print("## VATP with lists of query heads, against the norm off\n")
    off = of("s-vatp-query-head-off")
    pairs = [(f"SnapKV: {n}", (of(f"s-vatp-query-head-{n}"), "snapkv+vatp", off, "snapkv+vatp"))
             for n in ("l1", "projected")]
    differences(table, pairs, [64, 512])

"""The table of compare-gqa-value-norms.sh: compare_gqa_value_norms.py OUT_DIR"""

import sys

from answers import accuracies, cell

GRANULARITIES, NORMS = ["kv_head", "query_head"], ["off", "l1", "projected"]


def main():
    out = sys.argv[1]
    runs = {(g, n): accuracies(f"{out}/{g}-{n}/answers.jsonl") for g in GRANULARITIES for n in NORMS}
    settings = sorted(runs["kv_head", "off"])
    prompts = sorted(runs["kv_head", "off"][settings[0]])
    print(f"{len(prompts)} prompts\n")
    print("| method | budget | lists per | norm | accuracy % | against off |")
    print("|---|---|---|---|---|---|")
    for method, budget in settings:
        for granularity in GRANULARITIES:
            off = runs[granularity, "off"][method, budget]
            for norm in NORMS:
                mine = runs[granularity, norm][method, budget]
                against = "" if norm == "off" else cell([mine[p] - off[p] for p in prompts], "+")
                values = cell([mine[p] for p in prompts])
                print(f"| `{method}` | {budget} | {granularity} | {norm} | {values} | {against} |")


if __name__ == "__main__":
    main()

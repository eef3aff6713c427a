/* How many tokens each head may keep. */

const budgets = listOf("budgets");

function budgetLead(budget) {
  const sorted = [...budget.tokens].sort((a, b) => b - a);
  const total = sorted.reduce((a, b) => a + b, 0);
  const tenth = Math.max(1, Math.round(sorted.length / 10));
  const share = sorted.slice(0, tenth).reduce((a, b) => a + b, 0) / total;
  const name = budget.granularity === "kv_head" ? "KV head" : "query head";
  return `Tokens that each ${name} keeps, the last ${integer(budget.window)} of the prompt among them: ${number(budget.mean)} on average, from ${integer(sorted[sorted.length - 1])} to ${integer(sorted[0])}, `
    + `half of them at most ${integer(sorted[Math.floor(sorted.length / 2)])}. The ${plural(tenth, name)} with the most ${tenth === 1 ? "holds" : "hold"} ${percent(share)} of all.`;
}

function startBudgets() {
  if (budgets.length === 0) return;
  byId("budgets").hidden = false;
  let budget = budgets[0];
  const rowsOf = (b) => b.tokens.length / model.layers;
  const map = heatmap(byId("budget-map-box"), {
    id: "budget-map", columns: model.layers, rows: rowsOf(budget), label: "Tokens that each head keeps, layer by head. Arrow keys move.",
    describe: (layer, row) => {
      const tokens = budget.tokens[layer * rowsOf(budget) + row];
      const total = budget.tokens.reduce((a, b) => a + b, 0);
      const kv = budget.granularity === "kv_head";
      const rows = [["Tokens kept", integer(tokens)], ["Against the mean", `${number(tokens / budget.mean)} ×`], ["Share of all", percent(tokens / total)]];
      if (kv && groupSize > 1) rows.push(["Query heads", `${row * groupSize} to ${(row + 1) * groupSize - 1}`]);
      return { title: kv ? `Layer ${layer}, KV head ${row}` : `Head ${layer}-${row}`, rows };
    },
  });
  const draw = () => {
    const [min, max] = extent(budget.tokens);
    const scale = logScale(min, max);
    byId("budgets-lead").textContent = budgetLead(budget);
    byId("budget-legend").replaceChildren(colorBar(scale, "tokens kept (logarithmic)"));
    map.draw({
      values: budget.tokens, scale, rows: rowsOf(budget), rowTitle: budget.granularity === "kv_head" ? "KV head" : "head",
      rowsPerGroup: budget.granularity === "kv_head" ? 1 : groupSize, muted: () => false, text: integer, outlines: [],
    });
  };
  fillSelect(byId("budget-select"), budgets.map((b) => b.name), (i) => {
    budget = budgets[i];
    draw();
  });
  draw();
}

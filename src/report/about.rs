//! [`About`]: what a run says of itself, in lines for people.

use serde::Deserialize;
use serde_json::Value;

use super::answers::Answers;
use super::data::{Gate, Model};

/// What sidecars and tables have in common.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct About {
    /// Whose heads.
    pub model: Model,
    #[serde(default)]
    gate: Option<Gate>,
    #[serde(default)]
    headprof: String,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    grid: Grid,
    #[serde(default)]
    source: Value,
    #[serde(default)]
    prompt: Value,
    #[serde(default)]
    needles: Value,
    #[serde(default)]
    device: String,
    #[serde(default)]
    dtype: String,
    #[serde(default)]
    run: Run,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Grid {
    #[serde(default)]
    context_lengths: Vec<usize>,
    #[serde(default)]
    depths: Vec<f64>,
    #[serde(default)]
    seed: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Run {
    #[serde(default)]
    created: String,
    /// A number, or times by what was done with `total` among them.
    #[serde(default)]
    seconds: Value,
    #[serde(default)]
    threads: Option<usize>,
    #[serde(default)]
    peak_rss_bytes: Option<u64>,
}

impl About {
    /// What decides whether an answer counts.
    pub fn gate(&self) -> Option<Gate> {
        self.gate.clone().map(Gate::checked)
    }

    /// When the results were written, as text that sorts by time.
    pub fn created(&self) -> &str {
        &self.run.created
    }

    /// Label and text of each line; `answers` are of this run, where there are any.
    pub fn pairs(&self, answers: &Answers) -> Vec<(&'static str, String)> {
        let mut lines: Vec<(&'static str, String)> = Vec::new();
        let mut say = |label, text: String| {
            if !text.is_empty() {
                lines.push((label, text));
            }
        };
        let task = self.source["kind"].as_str().unwrap_or_default();
        say("Task", task.to_owned());
        if answers.probes > 0 {
            let accepted = answers.accepted.len();
            say(
                "Probes",
                format!("{}, {accepted} of them answered so that they count", answers.probes),
            );
            let shown = answers.list.len();
            let all = shown == answers.probes;
            say("Answers below", if all { String::new() } else { format!("the first {shown}") });
        }
        let needles = self.needles["needles"].as_array().map_or(0, Vec::len);
        say("Needles", if needles > 0 { needles.to_string() } else { String::new() });
        say("Lengths", listed(&self.grid.context_lengths, " tokens"));
        say("Depths", listed(&self.grid.depths, ""));
        say("Gate", self.gate().map(|gate| gate.rule()).unwrap_or_default());
        let chat = if self.prompt["chat"].is_object() { "the model's" } else { "none" };
        say("Chat template", if self.prompt.is_object() { chat.to_owned() } else { String::new() });
        say("Seed", self.grid.seed.map(|seed| seed.to_string()).unwrap_or_default());
        let threads = self.run.threads.map(|n| format!(", {n} threads")).unwrap_or_default();
        let computed = format!("{}, {}{threads}", self.device, self.dtype);
        say("Computed on", if self.device.is_empty() { String::new() } else { computed });
        let seconds = self.run.seconds.as_f64().or_else(|| self.run.seconds["total"].as_f64());
        say("Time", seconds.map(duration).unwrap_or_default());
        let memory = self.run.peak_rss_bytes.map(|bytes| format!("{} MiB", bytes >> 20));
        say("Memory at most", memory.unwrap_or_default());
        say("Written", self.run.created.clone());
        say("headprof", self.headprof.clone());
        say("Weights, SHA-256", self.model.sha256.clone().unwrap_or_default());
        say("Command", self.command.join(" "));
        lines
    }
}

fn listed(values: &[impl ToString], unit: &str) -> String {
    match values {
        [] => String::new(),
        _ => values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ") + unit,
    }
}

/// `41 s`, `12 min`, `3.2 h`.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

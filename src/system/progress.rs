//! How far a run is, on standard error: a bar with the time left on a terminal, else a line now
//! and then.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::system::terminal::note;

/// Progress over the tokens of all prompts: probes differ in length, tokens hardly in cost.
pub struct Progress {
    view: View,
    probes: usize,
    tokens: u64,
    done_probes: usize,
    done_tokens: u64,
    accepted: usize,
    accepted_word: &'static str,
    start: Instant,
}

enum View {
    Silent,
    Bar(ProgressBar),
    /// The tenths that have been reported.
    Lines(u64),
}

impl Progress {
    /// For `probes` probes of `tokens` prompt tokens in all.
    pub fn new(probes: usize, tokens: u64, quiet: bool) -> Self {
        let view = match quiet {
            true => View::Silent,
            false if io::stderr().is_terminal() => View::Bar(bar(tokens)),
            false => View::Lines(0),
        };
        let start = Instant::now();
        let accepted_word = "passed";
        Self {
            view,
            probes,
            tokens,
            done_probes: 0,
            done_tokens: 0,
            accepted: 0,
            accepted_word,
            start,
        }
    }

    /// Calls those that [`Progress::advance`] counts as accepted by another word than "passed".
    pub fn counting(self, word: &'static str) -> Self {
        Self { accepted_word: word, ..self }
    }

    /// Counts a finished probe of `tokens` prompt tokens.
    pub fn advance(&mut self, tokens: usize, accepted: bool) {
        self.done_probes += 1;
        self.done_tokens += tokens as u64;
        self.accepted += usize::from(accepted);
        let message = format!(
            "{}/{} probes, {} {}",
            self.done_probes, self.probes, self.accepted, self.accepted_word
        );
        match &mut self.view {
            View::Silent => {}
            View::Bar(bar) => {
                bar.set_message(message);
                bar.set_position(self.done_tokens);
            }
            View::Lines(reported) => {
                let tenths = self.done_tokens * 10 / self.tokens.max(1);
                if tenths > *reported {
                    *reported = tenths;
                    let left = time_left(self.start.elapsed(), self.done_tokens, self.tokens);
                    note(&format!("{message}, about {} s left", left.as_secs()));
                }
            }
        }
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let View::Bar(bar) = self.view {
            bar.finish_and_clear();
        }
    }
}

fn bar(tokens: u64) -> ProgressBar {
    let bar = ProgressBar::new(tokens);
    let style = ProgressStyle::with_template("{wide_bar} {percent:>3} %  {msg}  {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// What is left if it goes on as so far.
fn time_left(elapsed: Duration, done: u64, all: u64) -> Duration {
    match done {
        0 => Duration::ZERO,
        _ => elapsed.mul_f64((all.saturating_sub(done)) as f64 / done as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_in_proportion() {
        let left = |done, all| time_left(Duration::from_secs(10), done, all).as_secs();
        assert_eq!((left(25, 100), left(100, 100), left(0, 100)), (30, 0, 0));
    }
}

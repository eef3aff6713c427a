//! How far back the heads of a sliding-window model see, in words.

use super::ModelConfig;

impl ModelConfig {
    /// What is to be said of layers whose heads do not see all of a context of `tokens`; `None` if
    /// all do.
    ///
    /// Through the layers below, such a head may still hear of what is further back; its attention,
    /// and so every score of it, cannot fall there.
    pub fn window_note(&self, tokens: usize) -> Option<String> {
        let mut runs: Vec<(usize, usize, usize)> = Vec::new();
        for (layer, window) in self.sliding_window.iter().enumerate() {
            let Some(window) = window.filter(|window| *window < tokens) else { continue };
            match runs.last_mut() {
                Some((_, last, same)) if *last + 1 == layer && *same == window => *last = layer,
                _ => runs.push((layer, layer, window)),
            }
        }
        let named = |&(first, last, window): &(usize, usize, usize)| match first == last {
            true => format!("layer {first} sees the last {window} tokens"),
            false => format!("layers {first} to {last} see the last {window} tokens"),
        };
        let all = match runs[..] {
            [] => return None,
            [(0, last, window)] if last + 1 == self.layers => {
                format!("all {} layers see the last {window} tokens", self.layers)
            }
            _ => runs.iter().map(named).collect::<Vec<_>>().join(", "),
        };
        Some(format!(
            "sliding window: {all} alone; in contexts of up to {tokens} tokens their heads cannot \
             attend to what is further back, and score 0 there"
        ))
    }
}

#[cfg(test)]
mod tests {
    use crate::model::embedded::needle_llama_config;

    #[test]
    fn layers_with_the_same_window_are_told_together() {
        let mut c = needle_llama_config().unwrap();
        assert_eq!(c.window_note(4000), None);
        c.sliding_window = vec![Some(100); c.layers];
        assert_eq!(c.window_note(100), None);
        let note = c.window_note(101).unwrap();
        assert!(note.contains("all 6 layers see the last 100 tokens alone"), "{note}");
        c.sliding_window = vec![None, Some(50), Some(50), Some(60), None, Some(60)];
        let note = c.window_note(4000).unwrap();
        let want =
            "layers 1 to 2 see the last 50 tokens, layer 3 sees the last 60 tokens, layer 5 sees";
        assert!(note.contains(want), "{note}");
        assert!(c.window_note(55).unwrap().contains("layers 1 to 2 see the last 50 tokens alone"));
    }
}

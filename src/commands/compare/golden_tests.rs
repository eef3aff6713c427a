//! Published files, where a checkout has them beside it: the figures of independent readers.

use super::*;
use crate::goldens;

fn compared(folder: &Path, files: [&str; 2]) -> (Vec<Compared>, Agreement) {
    let paths = files.map(|name| folder.join(name));
    let files = inputs::read(&paths).unwrap();
    let agreement = Agreement::of(&files[0], &files[1], &[10, 20, 30], 0);
    (files, agreement)
}

fn near(value: Option<f64>, expected: f64, within: f64) {
    let value = value.unwrap();
    assert!((value - expected).abs() <= within, "{value}, not {expected}");
}

#[test]
fn published_files_agree_as_is_known() {
    let Some([folder]) = goldens::find(["../data/head_score"]) else { return };
    let llama = |score: &str| format!("Meta-Llama-3-8B-Instruct_{score}_heads.json");
    let (retrieval, reasoning) = (llama("retrieval"), llama("retrieval_reasoning"));
    let (_, agreement) = compared(&folder, [&retrieval, &reasoning]);
    near(agreement.pearson, 0.727, 5e-4);
    near(agreement.spearman, 0.762, 5e-4);
    let shared: Vec<usize> = agreement.shared.iter().map(|shared| shared.heads).collect();
    assert_eq!(shared, [5, 8, 16]);
    // Their keys are in no order: whoever reads by position has noise.
    let (files, _) = compared(&folder, ["dililazykv_head_lazy.json", "dililazykv_head_inf.json"]);
    for (file, expected) in files.iter().zip([0.029, 0.006]) {
        let moved = file.by_position.unwrap();
        near(moved.pearson, expected, 1e-3);
        assert_eq!(moved.top_10_shared, 0);
    }
}

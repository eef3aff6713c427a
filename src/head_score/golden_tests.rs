//! Published head_score files, where a checkout has them beside it.

use serde_json::Value;

use super::HeadScoreFile;
use crate::goldens;
use crate::system::digest::sha256;

#[test]
fn published_files_have_the_means_of_their_manifest() {
    let found = goldens::find(["budget/head_score_manifest.json", "../data/head_score"]);
    let Some([manifest, folder]) = found else { return };
    let manifest: Vec<Value> = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
    let (mut files, mut shuffled) = (0, 0);
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let digest = sha256(std::fs::read(&path).unwrap());
        let about = manifest.iter().find(|about| about["sha256"] == digest.as_str());
        let about = about.unwrap_or_else(|| panic!("{} has no manifest", path.display()));

        let number = |key: &str| about[key].as_u64().unwrap() as usize;
        let size = (number("layers"), number("heads"));
        let read = HeadScoreFile::read(&path, Some(size)).unwrap();
        assert_eq!(HeadScoreFile::read(&path, None).unwrap(), read);
        assert_eq!((read.file.layers(), read.file.heads()), size);
        assert!(read.file.values().iter().all(|list| list.len() == number("tests_per_head")));
        assert_eq!(read.warnings.is_empty(), about["canonical_key_order"].as_bool().unwrap());
        shuffled += read.warnings.len();

        let mean = read.file.mean();
        let top = about["top10"].as_array().unwrap();
        assert_eq!(top.len(), 10);
        for (want, (layer, head, value)) in top.iter().zip(mean.top(10)) {
            assert_eq!(want[0], format!("{layer}-{head}"), "{}", path.display());
            let want = want[1].as_f64().unwrap();
            assert!((f64::from(value) - want).abs() <= 1e-6 * want, "{value} and {want}");
        }
        let zeros = mean.values().iter().filter(|&&v| v == 0.0).count();
        assert_eq!(zeros, number("n_zero"), "{}", path.display());

        let again = super::parse::parse(&read.file.to_json_line(), "again", Some(size)).unwrap();
        assert_eq!(again.file, read.file);
        assert!(again.warnings.is_empty());
        files += 1;
    }
    println!("head_score goldens: {files} files, {shuffled} of them shuffled");
    assert_eq!(files, 9);
}

#[test]
fn accepted_probes_make_the_lists_of_the_reference() {
    let Some([path]) = goldens::find(["scores/accumulate.json"]) else { return };
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let gate: Vec<f64> = serde_json::from_value(golden["rouge1_recall_pct"].clone()).unwrap();
    let scores: Vec<Vec<Vec<f32>>> =
        serde_json::from_value(golden["per_test_scores"].clone()).unwrap();
    let accepted: Vec<crate::HeadMatrix> = scores
        .into_iter()
        .zip(&gate)
        .filter(|(_, gate)| **gate > 50.0)
        .map(|(rows, _)| crate::HeadMatrix::new(rows.len(), rows[0].len(), rows.concat()).unwrap())
        .collect();
    assert!(!accepted.is_empty() && accepted.len() < gate.len());
    let file = HeadScoreFile::from_probes(&accepted).unwrap();

    let lists = golden["head_counter"].to_string();
    assert_eq!(super::parse::parse(&lists, "golden", None).unwrap().file, file);
    let mean = golden["mean"].to_string();
    let mean = super::parse::parse(&mean, "golden", None).unwrap().file.mean();
    for (got, want) in file.mean().values().iter().zip(mean.values()) {
        assert!((got - want).abs() <= 1e-6 * want, "{got} and {want}");
    }
    let order: Vec<String> =
        file.mean().top(usize::MAX).iter().map(|(l, h, _)| format!("{l}-{h}")).collect();
    assert_eq!(serde_json::to_value(order).unwrap(), golden["order"]);
    println!("accumulate golden: {} probes", accepted.len());
}

//! Heatmaps of zeros, of both signs, and of heads that may be zero.

use super::*;

#[test]
fn all_zero_scores_say_so_and_both_signs_have_a_scale_around_zero() {
    let zero = HeadMatrix::zeros(4, 4);
    assert_eq!(head_heatmap::scale(&zero, false), ((0.0, 1.0), VIRIDIS));
    let scene = head_heatmap::scene(&zero, &META).unwrap();
    assert!(scene.texts().any(|t| t.content == "no head has a score above 0"));
    assert!(!scene.texts().any(|t| t.content.contains("outlined")));
    let mixed = HeadMatrix::new(1, 3, vec![-0.5, 0.25, 0.0]).unwrap();
    assert_eq!(head_heatmap::scale(&mixed, false), ((-0.5, 0.5), BLUE_RED));
    let negative = HeadMatrix::new(1, 2, vec![-0.5, 0.0]).unwrap();
    assert_eq!(head_heatmap::scale(&negative, false), ((-0.5, 0.5), BLUE_RED));
    assert_eq!(head_heatmap(&HeadMatrix::zeros(0, 4), &META).unwrap_err().exit_code(), 1);
}

/// Of differences the farthest from 0 are outlined, whatever their sign.
#[test]
fn of_differences_the_farthest_from_zero_are_outlined() {
    let mut values = vec![0.0; 16];
    (values[3], values[7]) = (0.5, -0.75);
    let scores = HeadMatrix::new(4, 4, values).unwrap();
    let meta = HeatmapCaption { difference: true, ..META };
    let scene = head_heatmap::scene(&scores, &meta).unwrap();
    assert!(scene.texts().any(|t| t.content == "outlined: the 2 that differ"));
    let pixels = Pixels::of(&head_heatmap(&scores, &meta).unwrap());
    let at = |layer, head| pixels.at(head_heatmap::cell_center(4, 4, layer, head));
    assert_eq!((at(1, 3), at(0, 3)), (BLUE_RED.at(0.0), BLUE_RED.at(0.5 + 0.5 * 0.5 / 0.75)));
    // Of one sign, too, no difference is white.
    let more = HeadMatrix::new(1, 2, vec![0.5, 0.0]).unwrap();
    assert_eq!(head_heatmap::scale(&more, true), ((-0.5, 0.5), BLUE_RED));
    let none = head_heatmap::scene(&HeadMatrix::zeros(4, 4), &meta).unwrap();
    assert!(none.texts().any(|t| t.content == "no head differs"));
}

#[test]
fn fewer_than_ten_heads_above_zero_are_counted() {
    let mut values = vec![0.0; 16];
    values[3] = 0.5;
    values[7] = 0.25;
    let scores = HeadMatrix::new(4, 4, values).unwrap();
    let scene = head_heatmap::scene(&scores, &META).unwrap();
    assert!(scene.texts().any(|t| t.content == "outlined: the 2 heads above 0"));
}

/// A head that is not told apart from 0 looks like none of the others, and the picture says so.
#[test]
fn heads_that_may_be_zero_are_grey() {
    let scores = sample(6, 8, 1.0);
    let mut low = vec![0.1; 48];
    low[9] = 0.0;
    low[30] = -0.2;
    let mut high = vec![0.5; 48];
    // Clearly below 0: no grey.
    (low[20], high[20]) = (-0.5, -0.2);
    let [low, high] = [low, high].map(|ends| HeadMatrix::new(6, 8, ends).unwrap());
    let meta = HeatmapCaption { ends: Some([&low, &high]), ..META };
    let scene = head_heatmap::scene(&scores, &meta).unwrap();
    assert_legible(&scene);
    assert!(scene.texts().any(|t| t.content == "grey: not told apart from 0 (95 %)"));
    let pixels = Pixels::of(&head_heatmap(&scores, &meta).unwrap());
    let plain = Pixels::of(&head_heatmap(&scores, &META).unwrap());
    let at = |layer, head| {
        let (x, y) = head_heatmap::cell_center(6, 8, layer, head);
        // Above the number.
        let below = head_heatmap::cell_center(6, 8, layer, (head + 1) % 8).1;
        (x, y - below.abs_diff(y).min(40) / 3)
    };
    for (layer, head) in (0..48).map(|i| (i / 8, i % 8)) {
        let grey = [(1, 1), (3, 6)].contains(&(layer, head));
        let [with, without] = [&pixels, &plain].map(|pixels| pixels.at(at(layer, head)));
        assert_eq!(with == [0xd4; 3], grey, "{layer}-{head}");
        assert!(grey || with == without);
    }
    let sure = HeadMatrix::new(6, 8, vec![0.1; 48]).unwrap();
    let meta = HeatmapCaption { ends: Some([&sure, &sure]), ..META };
    assert_eq!(head_heatmap(&scores, &meta), head_heatmap(&scores, &META));
}

//! Answers by depth and length, and curves.

use super::*;

#[test]
fn depth_grows_downwards_and_length_to_the_right() {
    // Given in no order; every value differs.
    let values = [(0.5, 4096, 0.8), (0.0, 1024, 0.1), (1.0, 1024, 0.6), (0.0, 4096, 1.0)];
    let mut cells: Vec<DepthLengthCell> = values
        .iter()
        .map(|&(depth, length, v)| DepthLengthCell { depth, length, value: Some(v), probes: 2 })
        .collect();
    cells.push(DepthLengthCell { depth: 0.5, length: 1024, value: None, probes: 0 });
    let picture = depth_length(&cells, &ANSWERS).unwrap();
    let pixels = Pixels::of(&picture);
    let center = |depth, length| depth_length::cell_center(&cells, depth, length).unwrap();
    for &(depth, length, value) in &values {
        let (x, y) = center(depth, length);
        assert_eq!(pixels.at((x, y - 40)), CIVIDIS.at(value), "{depth} {length}");
    }
    assert!(center(0.0, 1024).1 < center(0.5, 1024).1);
    assert!(center(0.5, 1024).1 < center(1.0, 1024).1);
    assert!(center(0.0, 1024).0 < center(0.0, 4096).0);
    assert_eq!(depth_length::cell_center(&cells, 0.25, 1024), None);
    // (0.5, 1024) has no value and (1.0, 4096) was not asked for: both grey, and the note says so.
    let grey = |(x, y): (u32, u32)| {
        let around = (0..40).map(|i| pixels.at((x + i, y)));
        around.filter(|&[r, g, b]| r == g && g == b && r > 0x80).count()
    };
    assert_eq!(grey(center(0.5, 1024)), 40);
    assert_eq!(grey(center(1.0, 4096)), 40);
    assert!(picture.svg.contains("no data") && picture.svg.contains("mean of 2 probes"));
}

#[test]
fn depth_length_maps_of_all_sizes_are_legible() {
    for (depths, lengths) in [(1, 1), (3, 4), (10, 10), (40, 20), (2, 60)] {
        let cells = answers(depths, lengths);
        let scene = depth_length::scene(&cells, &ANSWERS).unwrap();
        assert_legible(&scene);
        let filled = cells_of(&scene, depths * lengths);
        assert_eq!(filled, depths * lengths, "{depths} x {lengths}");
    }
}

#[test]
fn depth_length_refuses_two_values_for_one_place() {
    let cell = DepthLengthCell { depth: 0.1, length: 512, value: Some(0.5), probes: 1 };
    assert_eq!(depth_length(&[cell, cell], &ANSWERS).unwrap_err().exit_code(), 1);
    let bad = DepthLengthCell { value: Some(f64::NAN), ..cell };
    assert_eq!(depth_length(&[bad], &ANSWERS).unwrap_err().exit_code(), 1);
    assert_eq!(depth_length(&[], &ANSWERS).unwrap_err().exit_code(), 1);
}

#[test]
fn curves_are_legible_and_every_series_has_its_own_look() {
    for (layers, heads) in [(1, 1), (2, 2), (6, 8), (32, 32), (80, 64)] {
        let m: Vec<HeadMatrix> = (1..=9).map(|i| sample(layers, heads, i as f32 / 8.0)).collect();
        let names: Vec<String> = (1..=9).map(|i| format!("score {i}")).collect();
        let series: Vec<_> = names.iter().map(String::as_str).zip(&m).collect();
        assert_legible(&curve::scene(&series, &CURVE).unwrap());
    }
    let m = sample(6, 8, 0.8);
    let svg = score_curve(&[("dili", &m), ("inf", &m)], &CURVE).unwrap().svg;
    assert!(svg.contains("#0072B2") && svg.contains("#D55E00"));
    assert!(svg.contains("\ndili\n") && svg.contains("\ninf\n"));
    assert_eq!(score_curve(&[], &CURVE).unwrap_err().exit_code(), 1);
}

#[test]
fn a_curve_begins_at_the_best_head() {
    // One head of four at 1, the others at 0: the line starts in the upper left corner of the plot
    // and the pixel there has the first series' colour.
    let m = HeadMatrix::new(2, 2, vec![0.0, 0.0, 1.0, 0.0]).unwrap();
    let scene = curve::scene(&[("one", &m)], &CURVE).unwrap();
    let Some(Shape::Line { points, .. }) =
        scene.shapes.iter().find(|s| matches!(s, Shape::Line { .. }))
    else {
        panic!("no line")
    };
    assert_eq!(points.len(), 4);
    assert!(points.windows(2).all(|w| w[1].0 > w[0].0 && w[1].1 >= w[0].1));
    let pixels = Pixels::of(&score_curve(&[("one", &m)], &CURVE).unwrap());
    let (x, y) = points[0];
    assert_eq!(pixels.at((x as u32 * 2 + 1, y as u32 * 2 + 1)), [0x00, 0x72, 0xb2]);
    let (x, y) = points[2];
    assert_eq!(pixels.at((x as u32 * 2 + 1, y as u32 * 2)), [0x00, 0x72, 0xb2]);
}

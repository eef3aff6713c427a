//! Colour maps that stay in order for colour-blind readers: viridis and cividis, in greyscale too,
//! and blue to red for numbers of both signs.

/// Red, green and blue, sRGB.
pub type Rgb = [u8; 3];

/// A colour map: 52 control points, evenly spaced from 0 to 1, linear in sRGB between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColorMap(&'static [u32; 52]);

/// viridis, for head scores: every fifth of the 256 colours of Stéfan van der Walt and Nathaniel
/// Smith's map (2015, CC0, <https://bids.github.io/colormap>); at most 1/255 from it per channel.
#[rustfmt::skip]
pub const VIRIDIS: ColorMap = ColorMap(&[
    0x440154, 0x46085c, 0x471063, 0x481769, 0x481d6f, 0x482475, 0x472a7a, 0x46307e, 0x453781, 0x433d84,
    0x414287, 0x3f4889, 0x3d4e8a, 0x3a538b, 0x38598c, 0x355e8d, 0x33638d, 0x31688e, 0x2e6d8e, 0x2c718e,
    0x2a768e, 0x297b8e, 0x27808e, 0x25848e, 0x23898e, 0x218e8d, 0x20928c, 0x1f978b, 0x1e9c89, 0x1fa188,
    0x21a585, 0x24aa83, 0x28ae80, 0x2eb37c, 0x35b779, 0x3dbc74, 0x46c06f, 0x50c46a, 0x5ac864, 0x65cb5e,
    0x70cf57, 0x7cd250, 0x89d548, 0x95d840, 0xa2da37, 0xb0dd2f, 0xbddf26, 0xcae11f, 0xd8e219, 0xe5e419,
    0xf1e51d, 0xfde725,
]);

/// cividis, for pass rates and gate values: every fifth of the 256 colours of the map of Nuñez,
/// Anderton and Renslow (2018, CC0, <https://doi.org/10.1371/journal.pone.0199239>); at most 4/255
/// from it per channel.
#[rustfmt::skip]
pub const CIVIDIS: ColorMap = ColorMap(&[
    0x00224e, 0x002656, 0x002a5f, 0x002d68, 0x003070, 0x083370, 0x163770, 0x203a6f, 0x273e6e, 0x2e416d,
    0x34456c, 0x3a486c, 0x3f4c6c, 0x444f6c, 0x49536c, 0x4e566c, 0x535a6d, 0x575d6d, 0x5c616e, 0x60646f,
    0x656870, 0x696b71, 0x6d6f72, 0x727274, 0x767676, 0x7a7a78, 0x7e7d78, 0x838179, 0x888578, 0x8d8878,
    0x928c78, 0x969077, 0x9b9476, 0xa09875, 0xa59c74, 0xaaa073, 0xafa471, 0xb5a86f, 0xbaac6d, 0xbfb06b,
    0xc4b468, 0xc9b965, 0xcfbd62, 0xd4c15f, 0xdac65b, 0xdfca57, 0xe5cf52, 0xead34c, 0xf0d846, 0xf6dd3f,
    0xfce236, 0xfee838,
]);

/// Blue over white to red, for numbers of both signs: ColorBrewer's RdBu of eleven classes (Cynthia
/// Brewer, Mark Harrower and Penn State, <https://colorbrewer2.org>), turned round, linear between
/// its classes. 0 belongs in the middle.
#[rustfmt::skip]
pub const BLUE_RED: ColorMap = ColorMap(&[
    0x053061, 0x0a3b70, 0x10457e, 0x15508d, 0x1b5a9c, 0x2065ab, 0x276eb0, 0x2e77b5, 0x3480b9, 0x3b88be,
    0x4291c2, 0x4f9bc7, 0x5fa5cd, 0x6eaed2, 0x7eb8d7, 0x8dc2dc, 0x9bc9e0, 0xa7d0e4, 0xb3d6e8, 0xc0dceb,
    0xcce2ef, 0xd5e7f1, 0xddebf2, 0xe4eef4, 0xecf2f5, 0xf3f5f6, 0xf8f4f2, 0xf9efe9, 0xfae9df, 0xfbe4d6,
    0xfcdecd, 0xfcd7c2, 0xfbccb4, 0xf9c2a7, 0xf7b799, 0xf5ac8b, 0xf2a17f, 0xec9374, 0xe6866a, 0xe17860,
    0xdb6b55, 0xd55d4c, 0xce4f45, 0xc6413e, 0xbf3338, 0xb82531, 0xb1182b, 0xa21328, 0x930e26, 0x840924,
    0x760521, 0x67001f,
]);

impl ColorMap {
    /// The colour of `t`; below 0 as 0, above 1 (and NaN) as the nearest end.
    pub fn at(&self, t: f64) -> Rgb {
        let last = self.0.len() - 1;
        let position = t.clamp(0.0, 1.0) * last as f64;
        let below = position as usize;
        let above = (below + 1).min(last);
        let part = position - below as f64;
        std::array::from_fn(|channel| {
            let of = |i: usize| f64::from(self.0[i].to_be_bytes()[channel + 1]);
            (of(below) + (of(above) - of(below)) * part).round() as u8
        })
    }

    /// The colour of `value` on a scale from `low` to `high`.
    pub fn on_scale(&self, value: f64, (low, high): (f64, f64)) -> Rgb {
        self.at(if high > low { (value - low) / (high - low) } else { 0.0 })
    }
}

/// Relative luminance, 0 (black) to 1 (white); WCAG 2.2.
pub fn luminance(color: Rgb) -> f64 {
    let [r, g, b] = color.map(|c| {
        let c = f64::from(c) / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

/// Black or white, whichever is easier to read on `background` (the larger WCAG contrast ratio,
/// `(L1 + 0.05) / (L2 + 0.05)`; never below 4.5).
pub fn text_on(background: Rgb) -> Rgb {
    let l = luminance(background);
    if 1.05 / (l + 0.05) > (l + 0.05) / 0.05 { [255; 3] } else { [0; 3] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_middle_are_the_published_colours() {
        // matplotlib's viridis(0.0), viridis(1.0): #440154, #fde725; cividis: #00224e, #fee838.
        assert_eq!(VIRIDIS.at(0.0), [0x44, 0x01, 0x54]);
        assert_eq!(VIRIDIS.at(1.0), [0xfd, 0xe7, 0x25]);
        assert_eq!(CIVIDIS.at(0.0), [0x00, 0x22, 0x4e]);
        assert_eq!(CIVIDIS.at(1.0), [0xfe, 0xe8, 0x38]);
        // Half is position 25.5: between 0x218e8d and 0x20928c, (0x20.8, 0x90, 0x8c.8) rounded up.
        assert_eq!(VIRIDIS.at(0.5), [0x21, 0x90, 0x8d]);
    }

    #[test]
    fn out_of_range_is_the_nearest_end_and_a_flat_scale_is_the_low_end() {
        assert_eq!(VIRIDIS.at(-3.0), VIRIDIS.at(0.0));
        assert_eq!(VIRIDIS.at(9.0), VIRIDIS.at(1.0));
        assert_eq!(VIRIDIS.on_scale(0.5, (0.5, 0.5)), VIRIDIS.at(0.0));
        assert_eq!(VIRIDIS.on_scale(3.0, (1.0, 5.0)), VIRIDIS.at(0.5));
    }

    #[test]
    fn lighter_always_means_more() {
        for map in [VIRIDIS, CIVIDIS] {
            let l: Vec<f64> = (0..=255).map(|i| luminance(map.at(f64::from(i) / 255.0))).collect();
            assert!(l.windows(2).all(|w| w[1] > w[0] - 1e-3), "luminance falls in {map:?}");
            assert!(l[255] - l[0] > 0.6);
        }
    }

    /// The nearer to the middle, the lighter; both sides alike.
    #[test]
    fn both_signs_leave_white_alike() {
        assert_eq!((BLUE_RED.at(0.0), BLUE_RED.at(1.0)), ([0x05, 0x30, 0x61], [0x67, 0, 0x1f]));
        let l: Vec<f64> = (0..=100).map(|i| luminance(BLUE_RED.at(f64::from(i) / 100.0))).collect();
        assert!(
            l[..=50].windows(2).all(|w| w[1] > w[0]) && l[50..].windows(2).all(|w| w[1] < w[0])
        );
        assert!(l[50] > 0.9 && (0..50).all(|i| (l[i] - l[100 - i]).abs() < 0.15), "{l:?}");
    }

    #[test]
    fn text_is_readable_on_every_colour() {
        for map in [VIRIDIS, CIVIDIS, BLUE_RED] {
            for i in 0..=1000 {
                let (ground, text) = {
                    let c = map.at(f64::from(i) / 1000.0);
                    (luminance(c), luminance(text_on(c)))
                };
                let ratio = (ground.max(text) + 0.05) / (ground.min(text) + 0.05);
                assert!(ratio >= 4.5, "contrast {ratio} at {i}");
            }
        }
    }
}
